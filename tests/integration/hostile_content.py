"""What the hostile server serves, and what a fetcher must make of it. Not here: how it is sent (`hostile_server`)."""

import io
import random
import struct
import zlib

KINDS: dict[str, str | None] = {
    "good": None,
    "grey": None,
    "palette": None,
    "rgba": None,
    "cmyk": None,
    "animated": None,
    "webp": None,
    "progressive": None,
    "large": None,
    "called-text": None,
    "gzip-coded": None,
    "chunked": None,
    "unknown-length": None,
    "redirect": None,
    "slow-good": None,
    "flaky": None,
    "busy": None,
    "google-only-tag": None,
    "html": "not_an_image",
    "svg": "not_an_image",
    "text": "not_an_image",
    "empty": "not_an_image",
    "big-html": "not_an_image",
    "banned": "blocked",
    "pixel": "too_small",
    "bomb-png": "too_many_pixels",
    "bomb-gif": "too_many_pixels",
    "truncated": "decode",
    "truncated-png": "decode",
    "corrupt-png": "decode",
    "shorter-length": "decode",
    "longer-length": "connect",
    "endless-chunks": "too_large",
    "endless-close": "too_large",
    "endless-both": "too_large",
    "declared-huge": "too_large",
    "bomb-gzip": "too_large",
    "brotli": "protocol",
    "bad-gzip": "protocol",
    "garbage": "protocol",
    "huge-header": "protocol",
    "endless-headers": "protocol",
    "reset": "connect",
    "reset-in-body": "connect",
    "close": "connect",
    "hang": "timeout",
    "hang-in-body": "timeout",
    "drip": "timeout",
    "drip-headers": "timeout",
    "404": "http_404",
    "410": "http_404",
    "404-drip": "http_404",
    "403": "http_4xx",
    "418": "http_4xx",
    "500": "http_5xx",
    "503": "http_5xx",
    "redirect-loop": "too_many_redirects",
    "redirect-chain": "too_many_redirects",
    "redirect-forbidden": "forbidden_address",
    "redirect-metadata": "forbidden_address",
    "redirect-mapped-v6": "forbidden_address",
    "redirect-localhost": "forbidden_address",
    "redirect-file": "bad_url",
    "redirect-credentials": "bad_url",
    "redirect-disallowed": "opted_out",
    "redirect-noai": "opted_out",
    "noai": "opted_out",
    "noimageai-named": "opted_out",
    "none": "opted_out",
}
"""Error class that each kind must end with; None for a success."""

HOSTS: dict[str, str | None] = {
    "no-robots": None,
    "huge-robots": None,
    "moved-robots": "opted_out",
    "closed": "opted_out",
    "broken-robots": "robots_unavailable",
    "silent-robots": "timeout",
}
"""Error class that a good picture at `<name><number>.<domain>` must end with, because of the host's robots.txt."""


def pictures() -> dict[str, bytes]:
    """Bodies by kind."""
    from PIL import Image

    rng = random.Random(7)
    small = Image.frombytes("RGB", (16, 12), rng.randbytes(16 * 12 * 3)).resize((96, 72), Image.Resampling.BICUBIC)

    def encoded(image: "Image.Image", kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    noise = Image.frombytes("RGB", (640, 640), rng.randbytes(640 * 640 * 3))
    return {
        "good": encoded(small, "JPEG"),
        "grey": encoded(small.convert("L"), "JPEG"),
        "palette": encoded(small.convert("P"), "PNG"),
        "rgba": encoded(small.convert("RGBA"), "PNG"),
        "cmyk": encoded(small.convert("CMYK"), "JPEG"),
        "animated": encoded(small.convert("P"), "GIF", save_all=True, append_images=[small.rotate(90).convert("P")]),
        "webp": encoded(small, "WEBP"),
        "progressive": encoded(small, "JPEG", progressive=True),
        "large": encoded(noise, "PNG"),
        "png": encoded(small, "PNG"),
        "pixel": encoded(Image.new("RGB", (1, 1)), "GIF"),
        "bomb-png": _png_bomb(50_000),
        "bomb-gif": _gif_bomb(60_000),
        "banned": banned_picture(),
    }


def banned_picture() -> bytes:
    """A picture that is on the block list of contents."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 60)).save(buffer, "PNG")
    return buffer.getvalue()


def _gif_bomb(side: int) -> bytes:
    """The head of a GIF that declares side x side pixels."""
    frame = b"," + struct.pack("<HHHH", 0, 0, side, side) + b"\0"
    return b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6) + frame + b"\x02\x02\x4c\x01\0;"


def _png_bomb(side: int) -> bytes:
    """A valid PNG of side x side black pixels, one bit each: 312 MB of pixels in 0.3 MB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    press = zlib.compressobj(6)
    rows = bytes((1 + (side + 7) // 8) * 1_000)
    data = b"".join(press.compress(rows) for _ in range(side // 1_000)) + press.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
