"""`images`: where pictures are kept, and how they are fetched."""

from pathlib import Path
from typing import Annotated

from pydantic import ByteSize, Field, model_validator

from laionet_assets.settings.values import Count, Location, Network, Section, StorageOptions

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class FetchSettings(Section):
    """How images are fetched. Times are seconds."""

    enabled: bool = Field(
        False, description="Whether images are fetched from the web. sample://web is served by this project itself."
    )
    contact: str | None = Field(None, description="E-mail address or URL where you can be reached: in the User-Agent.")
    concurrency: Count = Field(128, description="Requests in flight over all hosts.")
    per_host: Count = Field(4, description="Requests in flight at one host.")
    min_interval: float = Field(0.05, ge=0, le=86_400, description="Least time between two requests to one host.")
    total_timeout: Seconds = Field(30, description="Limit of one attempt, redirects included.")
    max_bytes: ByteSize = Field(ByteSize(20 * 2**20), gt=0, description="Largest picture, such as 20MiB.")
    max_pixels: Count = Field(64_000_000, description="Largest width x height; beyond it nothing is decoded.")
    retries: int = Field(2, ge=0, le=100, description="Further attempts within a run after a failure that may pass.")
    robots: bool = Field(True, description="Whether robots.txt of every host is asked for and heeded (RFC 9309).")
    allowed_private: tuple[Network, ...] = Field(
        (),
        description="Networks (CIDR) that may be connected to though they are not public: [127.0.0.1/32] for a server "
        "on this machine, [10.0.0.0/8] for one in the house.",
    )
    allowed_ports: tuple[Port, ...] = Field(
        (80, 443, 8000, 8008, 8080, 8081, 8088, 8443, 8888),
        min_length=1,
        description="Ports that an address may name, all of them.",
    )
    allow_hosts: dict[str, str] = Field(
        default_factory=dict,
        description="Names of hosts that are found at an ip:port, without asking DNS: {pictures.example.org: "
        "'127.0.0.1:8088'}.",
    )
    cleared_by: str | None = Field(
        None, description="Parquet files with a column url (Re-LAION): original LAION-400M rows must be among them."
    )
    uncleared: bool = Field(
        False, description="Fetch original LAION-400M rows without such a list: an override that is recorded."
    )
    blocked_urls: Path | None = Field(None, description="Text file: sha256 or md5 of a URL a line.")
    blocked_contents: Path | None = Field(None, description="Text file: sha256 or md5 of a content a line.")

    @model_validator(mode="after")
    def _says_who_fetches(self) -> "FetchSettings":
        if self.enabled and not self.contact:
            raise ValueError("enabled: true needs `contact`, an e-mail address or URL where hosts can reach you")
        return self


class ImagesSettings(Section):
    """Where pictures are kept, and how they are fetched."""

    location: Location | None = Field(
        None, description="Folder or URL of the image store; default: images/ in the warehouse."
    )
    storage_options: StorageOptions = Field(
        default_factory=dict,
        description="Options of the fsspec filesystem of the location; secrets as references: ${NAME}.",
    )
    quota: ByteSize | None = Field(None, gt=0, description="Most bytes that the pictures may take, such as 50GB.")
    removals: Path | None = Field(None, description="CSV file (kind, value, reason) of what must go and stay away.")
    downloaded: tuple[str, ...] = Field(
        (),
        description="Folders of img2dataset output: pictures found there by their URL are taken over, not "
        "fetched again.",
    )
    fetch: FetchSettings = FetchSettings()
