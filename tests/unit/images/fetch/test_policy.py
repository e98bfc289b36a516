import pytest

from laionet_assets.images.fetch.policy import FetchPolicy, FetchPolicyError, parse_endpoint


def test_the_user_agent_is_honest() -> None:
    policy = FetchPolicy(contact="mailto:me@example.org", product_version="1.2")
    assert policy.user_agent == "laionet-assets/1.2 (+mailto:me@example.org)"


def test_a_contact_is_required() -> None:
    with pytest.raises(TypeError):
        FetchPolicy()
    with pytest.raises(FetchPolicyError, match="contact is ''"):
        FetchPolicy(contact="")
    with pytest.raises(FetchPolicyError, match="contact"):
        FetchPolicy(contact="me@example.org\r\nX: 1")


def test_one_message_lists_all_that_is_wrong() -> None:
    with pytest.raises(FetchPolicyError) as error:
        FetchPolicy(
            contact="me@example.org",
            product="a b",
            concurrency=0,
            retries=-1,
            min_pixels=10**9,
            allowed_private=("10.0.0.1/8",),
            allow_hosts={"Web": "127.0.0.1"},
            blocked_url_hashes=frozenset({"ABC"}),
        )
    keys = [
        "product",
        "concurrency",
        "retries",
        "max_pixels",
        "allowed_private",
        "names 'Web'",
        "expected ip:port",
        "ABC",
    ]
    for key in keys:
        assert key in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8080", ("::1", 8080)), ("::1:8080", ("::1", 8080))],
)
def test_endpoints(text: str, expected: tuple[str, int]) -> None:
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize("text", ["127.0.0.1", "host:80", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:70000", ":80"])
def test_bad_endpoints(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(text)
