"""The same rush of sign-ins with each keeper of identities: Riwaq's own directory, and Keycloak.

usage: issuers.py --riwaq target/release/riwaq --keycloak http://USER:PASSWORD@127.0.0.1:PORT --keycloak-pid PID
                  [--people 500] [--seconds 60] [--repeats 1]

Everybody signs in as a browser does, from the gateway's link to a session that says who they are: with Riwaq's own
directory at Riwaq's page, with Keycloak at Keycloak's. The server must be for this run alone: its CPU is counted. The realm
is made as an operator makes it, and removed in the end. Otherwise as in `sign_in_rush.py`.
"""

import argparse
import html
import http.client
import os
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.parse

import requests

from measuring import spread
from rush import Rush, email, make_people
from servers import PASSWORD, Riwaq

LOGIN = "/api/auth/session/login?return_to=/api/auth/session"


class Browser:
    """One person's: a connection for each request, cookies by server, redirects followed."""

    def __init__(self):
        self.cookies = {}

    def ask(self, method, url, form=None, headers=None):
        for _ in range(10):
            place = urllib.parse.urlsplit(url)
            jar = self.cookies.setdefault(place.netloc, {})
            all_headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items()), "Accept": "text/html"}
            all_headers.update(headers or {})
            body = None
            if form is not None:
                body = urllib.parse.urlencode(form)
                all_headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection = http.client.HTTPConnection(place.netloc, timeout=120)
            try:
                connection.request(method, urllib.parse.urlunsplit(("", "", place.path, place.query, "")), body, all_headers)
                answer = connection.getresponse()
                text = answer.read().decode()
            finally:
                connection.close()
            for cookie in answer.msg.get_all("Set-Cookie") or []:
                name, _, value = cookie.split(";")[0].partition("=")
                jar[name] = value
            if answer.status not in (302, 303):
                return answer.status, url, text
            method, form, url = "GET", None, urllib.parse.urljoin(url, answer.headers["Location"])
        raise SystemExit(f"redirects do not end: {url}")

    def sign_in(self, base, login):
        """The status of the session's address in the end."""
        status, url, page = self.ask("GET", base + LOGIN)
        form = next((form for form in re.findall(r"<form\b.*?</form>", page, re.S) if 'type="password"' in form), None)
        if form is None:
            return status, page
        fields = {}
        for tag in re.findall(r"<input\b[^>]*>", form):
            values = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
            if values.get("type") == "hidden":
                fields[html.unescape(values["name"])] = html.unescape(values.get("value", ""))
            elif values.get("name") in ("username", "login", "email"):
                fields[values["name"]] = login
        fields["password"] = PASSWORD
        action = re.search(r'<form\b[^>]*\baction="([^"]*)"', form)
        target = urllib.parse.urljoin(url, html.unescape(action[1])) if action else url
        status, url, page = self.ask("POST", target, fields)
        # Back at the gateway; a page of the issuer would be a refusal, whatever its status.
        return (status if url.startswith(base) else 401), page


class Realm:
    """A realm of its own, made by `riwaq keycloak provision`; nobody is asked for a second factor."""

    def __init__(self, server):
        url = urllib.parse.urlsplit(server)
        self.user, self.password = url.username, url.password
        self.server = f"http://{url.hostname}:{url.port}"
        self.name = f"rush-{os.getpid()}-{int(time.time())}"

    def settings(self, public_url):
        return {"RIWAQ_DIRECTORY_ENGINE": "keycloak", "RIWAQ_DIRECTORY_KEYCLOAK_SERVER_URL": self.server,
                "RIWAQ_DIRECTORY_KEYCLOAK_REALM": self.name, "RIWAQ_PUBLIC_URL": public_url}

    def provision(self, program, folder, public_url):
        command = [program, "keycloak", "provision", "--data-dir", str(folder), "--admin-user", self.user,
                   "--second-factor", ""]
        subprocess.run(command, input=self.password + "\n", text=True, check=True, capture_output=True,
                       env={**os.environ, **self.settings(public_url)})

    def remove(self):
        form = {"grant_type": "password", "client_id": "admin-cli", "username": self.user, "password": self.password}
        token = requests.post(f"{self.server}/realms/master/protocol/openid-connect/token", data=form, timeout=60).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        requests.delete(f"{self.server}/admin/realms/{self.name}", headers=headers, timeout=300).raise_for_status()


def measure(riwaq, arguments, others):
    admin = Browser()
    status, page = admin.sign_in(riwaq.base, "admin@riwaq.local")
    if status != 200:
        raise SystemExit(f"the administrator cannot sign in: {status} {page[:500]}")
    token = re.search(r'"csrf_token":\s*"([^"]+)"', page)[1]
    jar = admin.cookies[f"127.0.0.1:{riwaq.port}"]
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items()), "X-CSRF-Token": token}
    make_people(riwaq.port, headers, arguments.people)

    def sign_in(n):
        return Browser().sign_in(riwaq.base, email(n))[0]

    return Rush(sign_in, arguments.people, arguments.seconds, {"Riwaq": riwaq.pid, **others})


def own(arguments, folder):
    with Riwaq(arguments.riwaq, folder) as riwaq:
        return measure(riwaq, arguments, {})


def keycloak(arguments, folder):
    realm = Realm(arguments.keycloak)

    def prepare(base):
        realm.provision(arguments.riwaq, folder, base)
        return realm.settings(base)

    try:
        with Riwaq(arguments.riwaq, folder, prepare) as riwaq:
            return measure(riwaq, arguments, {"Keycloak": arguments.keycloak_pid})
    finally:
        realm.remove()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", required=True)
    parser.add_argument("--keycloak", required=True)
    parser.add_argument("--keycloak-pid", type=int, required=True)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    ways = {"own directory": own, "Keycloak": keycloak}
    rushes = {name: [] for name in ways}
    for repeat in range(arguments.repeats):
        for name in sorted(ways, reverse=repeat % 2 == 1):
            with tempfile.TemporaryDirectory() as folder:
                rush = ways[name](arguments, pathlib.Path(folder) / "data")
            print(f"{name}: {rush}", flush=True)
            rushes[name].append(rush)
    for name, of_it in rushes.items():
        print(f"{name}: p99 {spread([rush.p99 for rush in of_it], 1e3, 'ms', 0)}; "
              f"CPU a sign-in, all processes {spread([sum(rush.cpu.values()) for rush in of_it], 1e3, 'ms')}")


main()
