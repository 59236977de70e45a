"""Proxies and certificates by the variables that every program goes by: an answer, or an error of ours."""

from urllib.request import getproxies_environment

import pytest

from fedrela.core.environment.network_settings import proxy_of, reached
from fedrela.core.errors import InvalidInput, MissingDependency

PROXY = "http://proxy:3128"
DIRECT = [
    ("*", "https://fl.example.org"),
    ("localhost,127.0.0.1", "http://127.0.0.1:8000"),
    ("[::1]", "http://[::1]:8000"),
    ("::1", "http://[0:0::1]:8000"),
    ("fe80::/10", "http://[fe80::1:2]:8000"),
    ("[fe80::]/10", "http://[fe80::1:2]:8000"),
    ("[::1]:8000", "http://[::1]:8000"),
    ("10.0.0.0/8", "http://10.1.2.3"),
    ("example.org", "https://fl.example.org"),
    (".example.org", "https://fl.example.org"),
    ("*.example.org", "https://fl.EXAMPLE.org."),
    ("fl.example.org:443", "https://fl.example.org"),
    ("https://fl.example.org", "https://fl.example.org"),
    ("nobody, fl.example.org ,", "https://fl.example.org"),
]
THROUGH = [
    ("", "https://fl.example.org"),
    (" , ,", "https://fl.example.org"),
    ("[::1]", "http://[::2]:8000"),
    ("[::1]:8000", "http://[::1]:8001"),
    ("example.org", "https://notexample.org"),
    ("fl.example.org:8443", "https://fl.example.org"),
    ("http://fl.example.org", "https://fl.example.org"),
    ("10.0.0.0/8", "https://10.example.org"),
    ("[::1", "http://[::1]:8000"),
    ("fe80::/999", "http://[fe80::1]"),
    (".", "https://fl.example.org"),
    ("\udcff", "https://fl.example.org"),
]


@pytest.mark.parametrize(("no", "url"), DIRECT)
def test_no_proxy_means_hosts_networks_and_names(no: str, url: str) -> None:
    assert proxy_of(url, {"all": PROXY, "no": no}) == ""


@pytest.mark.parametrize(("no", "url"), THROUGH)
def test_what_no_proxy_does_not_mean_goes_through_the_proxy(no: str, url: str) -> None:
    assert proxy_of(url, {"all": PROXY, "no": no}) == PROXY


def test_the_proxy_of_the_scheme_is_first_and_needs_no_scheme_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", "secure:1")
    monkeypatch.setenv("ALL_PROXY", "socks5://all:2")
    proxies = getproxies_environment()
    assert proxy_of("https://x.example", proxies) == "http://secure:1"
    assert proxy_of("http://x.example", proxies) == "socks5://all:2"
    assert proxy_of("", proxies) == "socks5://all:2"


@pytest.mark.parametrize("url", ["http://[::1", "http://x:port", "http://x:99999"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="is not a URL"):
        proxy_of(url, {})


def test_whatever_a_library_makes_of_a_setting_is_one_of_ours_and_repeats_no_password() -> None:
    class Strange(Exception):
        pass

    settings = {"HTTPS_PROXY": "http://me:password@proxy", "SSL_CERT_FILE": __file__}
    for fault in (ValueError("password"), OSError("password"), Strange("password")):

        def open_(proxy: str, fault: Exception = fault) -> None:
            raise fault

        with pytest.raises(InvalidInput, match="correct them: HTTPS_PROXY, SSL_CERT_FILE") as caught:
            reached("https://x.example", {"https": settings["HTTPS_PROXY"]}, settings, open_)
        assert "password" not in str(caught.value)


def test_a_proxy_that_needs_another_package_says_which() -> None:
    def open_(proxy: str) -> None:
        raise ImportError("socksio")

    with pytest.raises(MissingDependency, match=r"\(socks5\).*httpx\[socks\].*NO_PROXY"):
        reached("http://x.example", {"all": "socks5://p:1"}, {}, open_)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_refused_where_they_matter(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} names /nope.pem"):
        reached("https://x.example", {}, {name: "/nope.pem"}, len)
    assert reached("http://x.example", {}, {name: "/nope.pem"}, len) == 0
