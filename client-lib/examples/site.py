#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A web site with a login, to try xhr against: https://localhost:PORT/, 8443 by default.

POST /login logs in, with a cookie that ends with the session and one that stays for a day;
/account knows who you are; /logout forgets you. Its certificate lies in site.pem beside where it is
started: nobody but --cacert site.pem trusts it."""
import http.server
import itertools
import ssl
import subprocess
import sys
import urllib.parse


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    numbers = itertools.count(1)

    def setup(self):
        super().setup()
        self.number = next(self.numbers)

    def answer(self, text, *cookies):
        body = (text + "\n").encode()
        self.send_response(200)
        for cookie in cookies:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        user = urllib.parse.parse_qs(form).get("user", ["nobody"])[0]
        self.answer(f"welcome, {user}", f"user={user}; Path=/; Secure; HttpOnly",
                    "theme=dark; Path=/; Secure; Max-Age=86400")

    def do_GET(self):
        cookies = dict(pair.split("=", 1) for pair in (self.headers.get("Cookie") or "").split("; ")
                       if "=" in pair)
        if self.path == "/logout":
            self.answer("goodbye", "user=; Path=/; Secure; Max-Age=0")
        else:
            self.answer(f"hello, {cookies.get('user', 'stranger')}, on connection "
                        f"{self.number} of this site")

    def log_message(self, *_):
        pass


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8443
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", "site.key", "-out", "site.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("site.pem", "site.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Site)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(f"https://localhost:{port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
