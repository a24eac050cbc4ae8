"""Which parts of a place's URL are shown: no passwords and no keys."""

import pytest

from lcma.harness.urls import hide_secrets, is_url, list_secrets

URLS = [
    ("s3://bucket/a/b", "s3://bucket/a/b", ()),
    ("s3://bucket/a@b", "s3://bucket/a@b", ()),
    ("abfs://box@me.dfs.net/a", "abfs://box@me.dfs.net/a", ()),
    ("sftp://host:22/a", "sftp://host:22/a", ()),
    ("sftp://me@host/a", "sftp://me@host/a", ()),
    ("sftp://me:pw12@host:22/a", "sftp://me@host:22/a", ("pw12",)),
    ("sftp://:pw12@host/a", "sftp://host/a", ("pw12",)),
    ("sftp://me:p@s5@host/a", "sftp://me@host/a", ("p@s5", "s5")),
    ("sftp://me:p/q5@host/a", "sftp://me@host/a", ("p/q5",)),
    ("sftp://me:p?q5@host/a", "sftp://me@host/a", ("p?q5",)),
    ("sftp://me:a::b5@host/a", "sftp://me@host/a", ("a::b5",)),
    ("sftp://me:p%40w@host/a", "sftp://me@host/a", ("p%40w", "p@w")),
    ("sftp://me:p[w@host/a", "sftp://me@host/a", ("p[w",)),
    ("https://host/a?sig=x%2By&se=1", "https://host/a", ("sig=x%2By&se=1", "x+y")),
    ("s3://b/a?t=1:2@z9", "s3://z9", ("2",)),
    ("simplecache::sftp://me:pw12@host/a", "simplecache::sftp://me@host/a", ("pw12",)),
    ("dir::zip://me:pw12@x::s3://b/c", "dir::zip://me@x::s3://b/c", ("pw12",)),
]


@pytest.mark.parametrize(("url", "shown", "hidden"), URLS)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str, hidden: tuple[str, ...]) -> None:
    assert hide_secrets(url) == shown
    assert set(hidden) <= set(list_secrets(url))
    assert not any(secret in shown.split("://", 1)[1] for secret in hidden if len(secret) > 1)


@pytest.mark.parametrize("text", ["runs", "/shared/runs", "~/runs", "a:b", "./a@b:c"])
def test_paths_are_no_urls(text: str) -> None:
    assert not is_url(text)
