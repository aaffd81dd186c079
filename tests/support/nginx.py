"""A real nginx in front of a gateway, as docs/deployment.md has one: it says whom each request is from."""

import asyncio
import shutil
from pathlib import Path

from tests.support.needed import needed
from tests.support.ports import HeldPorts
from tests.support.processes import Process

CONFIGURATION = """
daemon off;
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream gateway {{ server {gateway}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        location / {{ proxy_pass http://gateway; }}
    }}
}}
"""


class Nginx:
    """Started with `start`; `url` is where clients come."""

    def __init__(self, folder: Path, gateway: str, ports: HeldPorts) -> None:
        self._binary = needed("nginx")
        self._folder = folder
        self._port = ports.row()
        self.url = f"http://127.0.0.1:{self._port}"
        configuration = CONFIGURATION.format(folder=folder, gateway=gateway.removeprefix("http://"), port=self._port)
        (folder / "nginx.conf").write_text(configuration)
        self._process: Process | None = None

    async def start(self) -> None:
        """Returns when it listens."""
        command = (str(self._binary), "-p", str(self._folder), "-c", str(self._folder / "nginx.conf"))
        self._process = Process(*command)
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.destroy()
        shutil.rmtree(self._folder / "body", ignore_errors=True)
