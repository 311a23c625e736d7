# SPDX-License-Identifier: MIT
"""libxhr's own library in this process, through ctypes: a client that stays while daemons come
and go, and an HTTPClient object whose callbacks are written down as a story, one word an event.
Layouts are read from include/xhr/xhr.h itself, so they cannot drift from it."""
import ctypes
import functools
import re

import wire
from programs import BUILD, SANITIZED
from waiting import wait_until

# A sanitized library cannot be loaded into python: the plain one beside it talks to the
# sanitized daemon then.
PATH = (BUILD.parent / "dev" if SANITIZED else BUILD) / "client-lib/libxhr.so"

HEADER = re.sub(r"/\*.*?\*/", "",
                "".join(path.read_text() for path in sorted(
                    (wire.SOURCE / "client-lib/include/xhr").glob("*.h"))), flags=re.S)

TYPES = {"bool": ctypes.c_bool, "size_t": ctypes.c_size_t, "int": ctypes.c_int,
         "unsigned": ctypes.c_uint, "double": ctypes.c_double, "ssize_t": ctypes.c_ssize_t,
         **{f"{sign}int{bits}_t": getattr(ctypes, f"c_{sign}int{bits}")
            for sign in ("", "u") for bits in (8, 16, 32, 64)}}

READY_STATE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
PLAIN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
REDIRECT = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
WAITING = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p)
READ = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
                        ctypes.c_void_p)
REWIND = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def _field(declaration):
    """(name, ctype) of one member; function pointers and pointers to structures are pointers."""
    function = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declaration)
    if function:
        return function.group(1), ctypes.c_void_p
    array = re.search(r"unsigned char (\w+)\[(\w+)\]", declaration)
    if array:
        size = re.search(rf"#define {array.group(2)}\s+(\d+)", HEADER).group(1)
        return array.group(1), ctypes.c_ubyte * int(size)
    words = re.findall(r"\w+|\*", declaration)
    name, kind = words[-1], [word for word in words[:-1] if word != "const"]
    if "*" in kind:
        return name, ctypes.c_char_p if kind == ["char", "*"] else ctypes.c_void_p
    if kind[0] == "enum":
        return name, ctypes.c_int
    return name, structure(kind[1]) if kind[0] == "struct" else TYPES[kind[0]]


@functools.lru_cache(maxsize=None)
def structure(name):
    body = re.search(rf"^struct {name} {{(.*?)^}};", HEADER, re.S | re.M).group(1)
    fields = [_field(declaration) for declaration in body.split(";") if declaration.strip()]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


@functools.lru_cache(maxsize=None)
def constants(enum):
    body = re.search(rf"^enum {enum} {{(.*?)^}};", HEADER, re.S | re.M).group(1)
    return {name: int(number) for name, number in re.findall(r"(\w+)\s*=\s*(\d+)", body)}


def sized(name, **fields):
    kind = structure(name)
    return kind(size=ctypes.sizeof(kind), **fields)


def text_of(value):
    return None if value is None else value.decode(errors="replace")


def load():
    library = ctypes.CDLL(str(PATH))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("client_new", number, [pointer, ctypes.POINTER(pointer)]),
            ("client_free", pointer, [pointer]),
            ("client_wait", number, [pointer, number]),
            ("client_dispatch", number, [pointer]),
            ("client_in_flight", ctypes.c_size_t, [pointer]),
            ("request_new", number, [pointer, ctypes.POINTER(pointer)]),
            ("request_free", pointer, [pointer]),
            ("request_set_callbacks", number, [pointer, pointer, pointer]),
            ("request_set_options", number, [pointer, pointer]),
            ("request_open", number, [pointer, text, text, ctypes.c_bool]),
            ("request_set_header", number, [pointer, text, text]),
            ("request_send", number, [pointer, pointer]),
            ("request_send_form", number, [pointer, pointer]),
            ("request_abort", number, [pointer]),
            ("request_defer_redirect", number, [pointer]),
            ("request_answer_redirect", number, [pointer, ctypes.c_bool]),
            ("request_redirect_at", ctypes.c_bool, [pointer, ctypes.c_size_t, pointer]),
            ("request_answer_challenge", number, [pointer, pointer]),
            ("request_answer_verdict", number, [pointer, ctypes.c_bool]),
            ("request_ready_state", number, [pointer]),
            ("request_status", number, [pointer]),
            ("request_status_text", text, [pointer]),
            ("request_location", text, [pointer]),
            ("request_response_header", text, [pointer, text]),
            ("request_all_response_headers", text, [pointer]),
            ("request_sent_header_at", ctypes.c_bool, [pointer, ctypes.c_size_t,
                                                       ctypes.POINTER(text), ctypes.POINTER(text)]),
            ("request_response_body", pointer, [pointer, ctypes.POINTER(ctypes.c_size_t)]),
            ("request_error", pointer, [pointer]),
            ("request_totals", pointer, [pointer]),
            ("request_connection", pointer, [pointer]),
            ("client_set_signer", None, [pointer, pointer, pointer]),
            ("signing_key", ctypes.c_uint64, [pointer]),
            ("signing_host", text, [pointer]),
            ("signing_scheme", ctypes.c_uint, [pointer]),
            ("signing_data", pointer, [pointer, ctypes.POINTER(ctypes.c_size_t)]),
            ("signing_answer", number, [pointer, text, ctypes.c_size_t]),
            ("form_new", number, [ctypes.POINTER(pointer)]),
            ("form_free", pointer, [pointer]),
            ("form_add", number, [pointer, text, text, ctypes.c_size_t]),
            ("form_add_file", number, [pointer, text, text, text, text]),
            ("form_set_encoding", number, [pointer, number]),
            ("form_error_text", text, [pointer]),
            ("error_name", text, [number]),
            ("phase_name", text, [number]),
            ("wait_reason_name", text, [number])):
        function = getattr(library, f"xhr_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class Client:
    """The connection to a daemon."""

    def __init__(self, socket_path, **options):
        self.library = load()
        self.handle = ctypes.c_void_p()
        given = sized("xhr_client_options", no_start=True, socket_path=str(socket_path).encode(),
                      **options)
        assert self.library.xhr_client_new(ctypes.byref(given), ctypes.byref(self.handle)) == 0

    def set_signer(self, sign):
        """sign(handle of what is asked): from inside callbacks; see signing_of()."""
        self.signer = PLAIN(lambda signing, _: sign(signing))  # ctypes forgets what nobody holds
        self.library.xhr_client_set_signer(
            self.handle, ctypes.cast(self.signer, ctypes.c_void_p), None)

    def signing_of(self, signing):
        """(key, host, scheme, data)"""
        size = ctypes.c_size_t()
        data = self.library.xhr_signing_data(signing, ctypes.byref(size))
        return (self.library.xhr_signing_key(signing),
                text_of(self.library.xhr_signing_host(signing)),
                self.library.xhr_signing_scheme(signing), ctypes.string_at(data, size.value))

    def answer_signing(self, signing, signature):
        return self.library.xhr_signing_answer(signing, signature, len(signature))

    def in_flight(self):
        return self.library.xhr_client_in_flight(self.handle)

    def wait(self, timeout_ms=30_000):
        assert self.library.xhr_client_wait(self.handle, timeout_ms) > 0, "no event for long"

    def wait_until(self, condition):
        while not condition():
            self.wait()

    def pump_until(self, condition):
        """For what is seen outside: dispatch and look again, every few milliseconds."""
        def look():
            self.library.xhr_client_wait(self.handle, 5)
            return condition()
        wait_until(look)

    def run(self):
        self.wait_until(lambda: not self.in_flight())

    def request(self, **options):
        return Request(self, **options)

    def close(self):
        self.handle = ctypes.c_void_p(self.library.xhr_client_free(self.handle))


class Request:
    """An HTTPClient object. `then(word)` is called behind each event and may do anything."""

    def __init__(self, client, streaming=False, challenges=False, verdicts=False):
        self.client, self.library = client, client.library
        self.handle = ctypes.c_void_p()
        assert self.library.xhr_request_new(client.handle, ctypes.byref(self.handle)) == 0
        self.words, self.events, self.then = [], [], lambda word: None
        self.follows, self.defers, self.deferred = True, False, []
        self.login = None  # who logs in: what answer_challenge() takes, from inside
        self.trusts = None  # what answer_verdict() says from inside; None: nothing
        self.faults = []
        self._keep = {  # ctypes forgets what nobody holds
            "onreadystatechange": READY_STATE(self._on_ready_state),
            "onload": PLAIN(lambda *_: self._tell("load")),
            "onerror": READY_STATE(self._on_error),
            "onabort": PLAIN(lambda *_: self._tell("abort")),
            "ondatastream": READY_STATE(lambda _, at, __: self._on_progress("down", at)),
            "onsendstream": READY_STATE(lambda _, at, __: self._on_progress("up", at)),
            "onredirect": REDIRECT(self._on_redirect),
            "on_headers": PLAIN(lambda *_: self._tell("headers")),
            "on_waiting": WAITING(self._on_waiting)}
        if challenges:
            self._keep["on_challenge"] = READY_STATE(self._on_challenge)
        if verdicts:
            self._keep["on_verdict"] = READY_STATE(self._on_verdict)
        if streaming:
            self._keep["on_body"] = BODY(lambda _, at, size, __: self._tell("body", size))
        callbacks = sized("xhr_callbacks", **{
            name: ctypes.cast(function, ctypes.c_void_p).value
            for name, function in self._keep.items()})
        assert self.library.xhr_request_set_callbacks(self.handle, ctypes.byref(callbacks), None) == 0

    # -- what it is told

    def _tell(self, word, more=None):
        try:
            self.words.append(word)
            self.events.append((word, more))
            self.then(word)
        except BaseException as fault:  # ctypes would only print it
            self.faults.append(fault)

    def _on_ready_state(self, _, at, __):
        event = structure("xhr_ready_state_event").from_address(at)
        assert event.state == self.library.xhr_request_ready_state(self.handle)
        self._tell(str(event.state), (event.monotonic_us, event.reason))

    def _on_error(self, _, at, __):
        self._tell(f"error:{text_of(structure('xhr_error').from_address(at).name)}")

    def _on_progress(self, word, at):
        event = structure("xhr_progress").from_address(at)
        self._tell(word, {name: getattr(event, name) for name, _ in event._fields_})

    def _on_redirect(self, _, at, __):
        event = structure("xhr_redirect").from_address(at)
        if self.defers:
            self.deferred.append(self.library.xhr_request_defer_redirect(self.handle))
        self._tell(f"redirect:{event.status}", text_of(event.url))
        return self.follows

    def _on_challenge(self, _, at, __):
        event = structure("xhr_challenge").from_address(at)
        offers = (structure("xhr_offer") * event.n_offers).from_address(event.offers)
        self._tell(f"challenge:{event.attempt}", {
            "scheme": text_of(event.scheme), "realm": text_of(event.realm),
            "origin": text_of(event.origin), "is_proxy": event.is_proxy,
            "offers": [(text_of(offer.scheme), text_of(offer.realm)) for offer in offers]})
        if self.login:
            self.answer_challenge(**self.login)

    def _on_verdict(self, _, at, __):
        event = structure("xhr_verdict").from_address(at)
        chain = (structure("xhr_certificate") * event.n_certificates).from_address(
            event.certificates)
        self._tell("verdict", {
            "origin": text_of(event.origin), "is_verified": event.is_verified,
            "deadline_ms": event.deadline_ms,
            "subjects": [text_of(each.subject) for each in chain],
            "ders": [ctypes.string_at(each.der, each.der_len) for each in chain],
            "pins": [bytes(each.spki_sha256) for each in chain]})
        if self.trusts is not None:
            assert self.answer_verdict(self.trusts) == 0

    def _on_waiting(self, _, reason, monotonic_us, __):
        self._tell(f"wait:{text_of(self.library.xhr_wait_reason_name(reason))}", monotonic_us)

    # -- what it is asked

    def options(self, **fields):
        given = sized("xhr_request_options", **fields)
        return self.library.xhr_request_set_options(self.handle, ctypes.byref(given))

    def open(self, url, method="GET", is_async=True):
        return self.library.xhr_request_open(self.handle, method.encode(), url.encode(), is_async)

    def set_header(self, name, value):
        return self.library.xhr_request_set_header(self.handle, name.encode(),
                                                   None if value is None else value.encode())

    def answer_redirect(self, follows):
        return self.library.xhr_request_answer_redirect(self.handle, follows)

    def answer_challenge(self, **fields):
        """Without fields: nobody logs in."""
        login = sized("xhr_login", **{name: text.encode() for name, text in fields.items()})
        return self.library.xhr_request_answer_challenge(
            self.handle, ctypes.byref(login) if fields else None)

    def answer_verdict(self, trusted):
        return self.library.xhr_request_answer_verdict(self.handle, trusted)

    def body(self, kind, data=None, read=None, rewind=None, **fields):
        """@kind: "STRING", "BYTES", "JSON", "FD", "STREAM", "PATH"."""
        kind = constants("xhr_body_kind")[f"XHR_BODY_{kind}"]
        if data is not None:
            self._data = ctypes.create_string_buffer(data, max(len(data), 1))
            fields.update(bytes=ctypes.addressof(self._data), length=len(data))
        if read is not None:
            self._read = READ(lambda _, at, size, __: self._give(read, at, size))
            fields["read"] = ctypes.cast(self._read, ctypes.c_void_p).value
        if rewind is not None:
            self._rewind = REWIND(lambda *_: rewind())
            fields["rewind"] = ctypes.cast(self._rewind, ctypes.c_void_p).value
        return sized("xhr_body", kind=kind, **fields)

    @staticmethod
    def _give(read, at, size):
        data = read(size)
        if isinstance(data, int):
            return data
        ctypes.memmove(at, data, len(data))
        return len(data)

    def send(self, body=None):
        return self.library.xhr_request_send(self.handle, ctypes.byref(body) if body else None)

    def send_form(self, parts):
        """[(name, bytes or the path of a file)]"""
        form = ctypes.c_void_p()
        assert self.library.xhr_form_new(ctypes.byref(form)) == 0
        for name, value in parts:
            r = (self.library.xhr_form_add(form, name.encode(), value, len(value))
                 if isinstance(value, bytes) else
                 self.library.xhr_form_add_file(form, name.encode(), str(value).encode(), None, None))
            assert r == 0
        r = self.library.xhr_request_send_form(self.handle, form)
        self.library.xhr_form_free(form)
        return r

    def abort(self):
        return self.library.xhr_request_abort(self.handle)

    def finish(self):
        self.client.wait_until(lambda: self.ended)
        self.check()
        return self

    def check(self):
        for fault in self.faults:
            raise fault

    # -- what can be seen

    @property
    def ended(self):
        return any(word in ("load", "abort") or word.startswith("error:") for word in self.words)

    @property
    def state(self):
        return self.library.xhr_request_ready_state(self.handle)

    @property
    def status(self):
        return self.library.xhr_request_status(self.handle)

    @property
    def error(self):
        at = self.library.xhr_request_error(self.handle)
        return structure("xhr_error").from_address(at) if at else None

    @property
    def totals(self):
        return structure("xhr_totals").from_address(self.library.xhr_request_totals(self.handle))

    @property
    def response(self):
        size = ctypes.c_size_t()
        at = self.library.xhr_request_response_body(self.handle, ctypes.byref(size))
        return ctypes.string_at(at, size.value)

    @property
    def location(self):
        return text_of(self.library.xhr_request_location(self.handle))

    def response_header(self, name):
        return text_of(self.library.xhr_request_response_header(self.handle, name.encode()))

    def sent_headers(self):
        """[(name, value)] as they went out."""
        name, value, found = ctypes.c_char_p(), ctypes.c_char_p(), []
        while self.library.xhr_request_sent_header_at(self.handle, len(found), ctypes.byref(name),
                                                      ctypes.byref(value)):
            found.append((name.value.decode("latin-1"), value.value.decode("latin-1")))
        return found

    def chain(self):
        """[(status, url, method, whether it was the daemon's own)]"""
        step, found = structure("xhr_redirect")(), []
        while self.library.xhr_request_redirect_at(self.handle, len(found), ctypes.byref(step)):
            found.append((step.status, text_of(step.url), text_of(step.method), step.is_upgrade))
        return found

    def progress(self, word):
        return [more for name, more in self.events if name == word]

    def story(self):
        """Its words without waits, what repeats told once: "1 up 2 headers 3 down 4 load"."""
        told = []
        for word in self.words:
            if not word.startswith("wait:") and (not told or told[-1] != word):
                told.append(word)
        return " ".join(told)

    def forget(self):
        self.words.clear()
        self.events.clear()

    def free(self):
        self.library.xhr_request_free(self.handle)


class LibraryClient:
    """A client and one request object."""

    def __init__(self, socket_path):
        self.client = Client(socket_path)
        self.request = self.client.request()

    def start(self, url):
        assert self.request.open(url) == 0
        assert self.request.send() == 0

    def run(self):
        self.client.run()

    def fetch(self, url):
        """Return: the status, or the error's name."""
        self.start(url)
        self.run()
        return self.outcome()

    def outcome(self):
        error = self.request.error
        return text_of(error.name) if error else self.request.status

    def close(self):
        self.request.free()
        self.client.close()
