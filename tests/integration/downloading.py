# SPDX-License-Identifier: MIT
"""One HTTPClient object of libxhr whose answers become files."""
import ctypes

from libxhr import Client, Request, sized, structure, text_of
from waiting import wait_until

CHOOSE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class Downloader:
    def __init__(self, socket_path, streaming=False):
        self.client = Client(socket_path)
        self.request = Request(self.client, streaming)
        self.library, self.handle = self.client.library, self.request.handle
        self.library.xhr_request_set_file.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.library.xhr_request_file_offset.argtypes = [ctypes.c_void_p]
        self.library.xhr_request_file_offset.restype = ctypes.c_uint64
        self.library.xhr_request_file_path.argtypes = [ctypes.c_void_p]
        self.library.xhr_request_file_path.restype = ctypes.c_char_p

    def set_file(self, path, chosen=None, **more):
        if chosen:
            self._chosen = ctypes.create_string_buffer(str(chosen).encode())
            self._choose = CHOOSE(lambda *_: ctypes.addressof(self._chosen))
            more["choose_path"] = ctypes.cast(self._choose, ctypes.c_void_p).value
        self._file = sized("xhr_file", path=str(path).encode(), **more)
        return self.library.xhr_request_set_file(self.handle, ctypes.byref(self._file))

    def open(self, url, method="GET"):
        self.request.words.clear()
        assert self.request.open(url, method) == 0

    def send(self):
        return self.request.send()

    def start(self, url):
        self.open(url)
        assert self.send() == 0

    def meanwhile(self, condition):
        """Dispatch until something is true that no event tells of."""
        def turned():
            self.library.xhr_client_wait(self.client.handle, 1)
            return condition()
        return wait_until(turned)

    def run(self):
        self.request.finish()
        return self.outcome()

    def fetch(self, url):
        """Return: the status, or the error's name."""
        self.start(url)
        return self.run()

    def outcome(self):
        error = self.error()
        return text_of(error.name) if error else self.status()

    def error(self):
        at = self.library.xhr_request_error(self.handle)
        return structure("xhr_error").from_address(at) if at else None

    def status(self):
        return self.library.xhr_request_status(self.handle)

    def body(self):
        size = ctypes.c_size_t()
        return ctypes.string_at(
            self.library.xhr_request_response_body(self.handle, ctypes.byref(size)), size.value)

    def file_offset(self):
        return self.library.xhr_request_file_offset(self.handle)

    def file_path(self):
        return text_of(self.library.xhr_request_file_path(self.handle))

    def abort(self):
        self.request.abort()

    def close(self):
        self.library.xhr_request_free(self.handle)
        self.client.close()
