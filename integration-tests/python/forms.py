"""Signing in at the issuer's page, as somebody who sees only its form."""

import html.parser
import http.cookiejar
import urllib.parse

import requests


class Browser(requests.Session):
    """Keeps cookies as browsers do on loopback: what is Secure is sent although it is plain HTTP."""

    def __init__(self):
        super().__init__()
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(secure_protocols=("https", "http")))


class Form(html.parser.HTMLParser):
    """The first form of a page: where it goes and what it holds."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields = None, {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = attrs.get("action", "")
        if tag == "input" and attrs.get("name"):
            self.fields[attrs["name"]] = attrs.get("value", "")

    def fill(self, names, value):
        name = next(name for name in self.fields if name in names)
        self.fields[name] = value


def sign_in(browser, page, login, password):
    """Fills in the form of `page` and sends it; the answer is not followed."""
    form = Form(page.text)
    form.fill(("login", "username", "email", "identifier"), login)
    form.fill(("password",), password)
    address = urllib.parse.urljoin(page.url, form.action)
    return browser.post(address, data=form.fields, allow_redirects=False, timeout=10)
