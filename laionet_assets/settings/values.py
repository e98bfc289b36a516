"""What sections are made of: the base class of a section, and the kinds of values that keys of several have."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from laionet_assets.references import url_without_password, without_secrets


@dataclass(frozen=True)
class InWords:
    """Beside a type: what its values are, where the type alone would not say it ("network such as 10.0.0.0/8")."""

    words: str


Name = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"),
    InWords("name (letters, digits, '_', '-' and '.', beginning with a letter or digit)"),
]
Profile = Literal["paper", "corrected"]
StorageOptions = Annotated[dict[str, Any], AfterValidator(without_secrets)]
Location = Annotated[str, AfterValidator(url_without_password), InWords("path or URL")]
Network = Annotated[str, InWords("network such as 10.0.0.0/8 or 127.0.0.1/32")]
Count = Annotated[int, Field(ge=1, le=2_147_483_647)]
NsfwTag = Literal["UNLIKELY", "UNSURE", "NSFW", "UNKNOWN"]


class Section(BaseModel):
    """Keys that belong together. Unknown keys, infinite numbers and NaN are refused; nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
