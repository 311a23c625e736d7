# SPDX-License-Identifier: MIT
"""Real TLS servers that are told their key, their versions and whom they let in: nginx, Apache with
mod_ssl, and gnutls-serv as an implementation that is not OpenSSL's. Each takes its port from the
kernel just before, and is stopped by whoever made it."""
import os
import pathlib
import socket
import subprocess

from origins import LOOPBACK, Apache, stop_process
from waiting import wait_until

NGINX_VERSIONS = {"1.2": "TLSv1.2", "1.3": "TLSv1.3"}
GNUTLS_VERSIONS = {"1.0": "+VERS-TLS1.0", "1.1": "+VERS-TLS1.1", "1.2": "+VERS-TLS1.2", "1.3": "+VERS-TLS1.3"}

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  ssl_certificate {cert}; ssl_certificate_key {key};
  ssl_protocols {versions};
  ssl_session_cache shared:s:1m;
  ssl_verify_client {verify}; ssl_client_certificate {ca};
  {more}
  server {{
    listen {LOOPBACK}:{port} ssl;
    location / {{ return 200 "$ssl_protocol $ssl_session_reused $ssl_client_verify $ssl_client_s_dn\\n"; }}
    {places}
  }}
}}
"""

APACHE = """
ServerRoot "{folder}"
ServerName localhost
PidFile "{folder}/pid"
DefaultRuntimeDir "{folder}"
Listen {LOOPBACK}:{port}
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule socache_shmcb_module {modules}/mod_socache_shmcb.so
LoadModule headers_module {modules}/mod_headers.so
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
ErrorLog "{folder}/error.log"
DocumentRoot "{folder}/www"
SSLSessionCache "shmcb:{folder}/cache(65536)"
SSLEngine on
SSLProtocol -all {versions}
SSLCertificateFile {cert}
SSLCertificateKeyFile {key}
SSLCACertificateFile {ca}
SSLVerifyClient {verify}
Header always set Seen "%{{SSL_PROTOCOL}}s %{{SSL_SESSION_RESUMED}}s %{{SSL_CLIENT_VERIFY}}s %{{SSL_CLIENT_S_DN_CN}}s"
<Location "/">
  Require all granted
</Location>
"""


def free_port():
    with socket.socket() as asked:
        asked.bind((LOOPBACK, 0))
        return asked.getsockname()[1]


class TlsServer:
    """A program with a port."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_until(self._answers, f"{command[0]} to listen")

    def _answers(self):
        assert self.process.poll() is None, f"{self.process.args[0]} ended"
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def url(self, path="/", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def stop(self):
        stop_process(self.process)


class NginxTls(TlsServer):
    name = "nginx"

    def __init__(self, folder: pathlib.Path, pair, authority, versions=("1.2", "1.3"),
                 asks=False, more="", places=""):
        folder.mkdir(parents=True)
        self.folder, self.port = folder, free_port()
        (folder / "nginx.conf").write_text(NGINX.format(
            LOOPBACK=LOOPBACK, folder=folder, port=self.port, cert=pair[0], key=pair[1],
            ca=authority.pem, verify="on" if asks else "off",
            versions=" ".join(NGINX_VERSIONS[v] for v in versions), more=more, places=places,
            user="user root;" if os.geteuid() == 0 else ""))
        super().__init__("nginx", "-p", folder, "-c", "nginx.conf")


class ApacheTls(TlsServer):
    name = "apache"

    def __init__(self, folder: pathlib.Path, pair, authority, versions=("1.2", "1.3"),
                 asks=False):
        (folder / "www").mkdir(parents=True)
        (folder / "www/index").write_text("hello\n")
        for up in (folder, *folder.parents[:1]):
            up.chmod(0o755)  # its children give up root
        self.folder, self.port = folder, free_port()
        (folder / "apache.conf").write_text(APACHE.format(
            LOOPBACK=LOOPBACK, folder=folder, port=self.port, cert=pair[0], key=pair[1],
            ca=authority.pem, verify="require" if asks else "none", modules=Apache.MODULES,
            versions=" ".join(f"+{NGINX_VERSIONS[v]}" for v in versions),
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else ""))
        super().__init__("/usr/sbin/apache2", "-f", folder / "apache.conf", "-DFOREGROUND")


class GnutlsServ(TlsServer):
    name = "gnutls"

    def __init__(self, folder: pathlib.Path, pair, authority, versions=("1.2", "1.3"),
                 asks=False):
        self.port = free_port()
        kinds = ":".join(GNUTLS_VERSIONS[v] for v in versions)
        super().__init__("gnutls-serv", "--http", "--quiet", "--port", self.port,
                         "--x509certfile", pair[0], "--x509keyfile", pair[1],
                         "--x509cafile", authority.pem,
                         "--require-client-cert" if asks else "--disable-client-cert",
                         *(("--verify-client-cert",) if asks else ()),
                         "--priority", f"NORMAL:-VERS-ALL:{kinds}")


SERVERS = {"nginx": NginxTls, "apache": ApacheTls, "gnutls": GnutlsServ}
