# SPDX-License-Identifier: MIT
"""libxhr's own library in this process, through ctypes: a client that stays while daemons come
and go. Layouts follow include/xhr/xhr.h; structures start with their size, so that a shorter one
than the library knows is defined."""
import ctypes

from programs import BUILD

PATH = BUILD / "client-lib/libxhr.so"


class ClientOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("socket_path", ctypes.c_char_p),
                ("no_start", ctypes.c_bool), ("daemon_path", ctypes.c_char_p),
                ("program", ctypes.c_char_p), ("profile", ctypes.c_char_p)]


class Error(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("code", ctypes.c_int), ("phase", ctypes.c_int),
                ("sys_errno", ctypes.c_int), ("detail", ctypes.c_uint32),
                ("name", ctypes.c_char_p), ("text", ctypes.c_char_p)]


def load():
    library = ctypes.CDLL(str(PATH))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
            ("client_new", ctypes.c_int, [ctypes.POINTER(ClientOptions), ctypes.POINTER(pointer)]),
            ("client_free", pointer, [pointer]),
            ("client_wait", ctypes.c_int, [pointer, ctypes.c_int]),
            ("client_in_flight", ctypes.c_size_t, [pointer]),
            ("request_new", ctypes.c_int, [pointer, ctypes.POINTER(pointer)]),
            ("request_free", pointer, [pointer]),
            ("request_open", ctypes.c_int, [pointer, text, text, ctypes.c_bool]),
            ("request_send", ctypes.c_int, [pointer, pointer]),
            ("request_status", ctypes.c_int, [pointer]),
            ("request_error", ctypes.POINTER(Error), [pointer])):
        function = getattr(library, f"xhr_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class LibraryClient:
    """A client and one request object."""

    def __init__(self, socket_path):
        self.library = load()
        self._client, self._request = ctypes.c_void_p(), ctypes.c_void_p()
        options = ClientOptions(size=ctypes.sizeof(ClientOptions), no_start=True,
                                socket_path=str(socket_path).encode())
        assert self.library.xhr_client_new(options, self._client) == 0
        assert self.library.xhr_request_new(self._client, self._request) == 0

    def start(self, url):
        assert self.library.xhr_request_open(self._request, b"GET", url.encode(), True) == 0
        assert self.library.xhr_request_send(self._request, None) == 0

    def run(self):
        while self.library.xhr_client_in_flight(self._client):
            assert self.library.xhr_client_wait(self._client, 30_000) > 0, "no event for long"

    def fetch(self, url):
        """Return: the status, or the error's name."""
        self.start(url)
        self.run()
        return self.outcome()

    def outcome(self):
        error = self.library.xhr_request_error(self._request)
        return error.contents.name.decode() if error else self.library.xhr_request_status(self._request)

    def close(self):
        self.library.xhr_request_free(self._request)
        self.library.xhr_client_free(self._client)
