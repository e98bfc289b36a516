"""What sections are made of: the base class of a section, and the kinds of values that keys of several have."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from laionet_assets.references import url_without_password, without_secrets

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Profile = Literal["paper", "corrected"]
StorageOptions = Annotated[dict[str, Any], AfterValidator(without_secrets)]
Location = Annotated[str, AfterValidator(url_without_password)]
Count = Annotated[int, Field(ge=1, le=2_147_483_647)]
NsfwTag = Literal["UNLIKELY", "UNSURE", "NSFW", "UNKNOWN"]


class Section(BaseModel):
    """Keys that belong together. Unknown keys, infinite numbers and NaN are refused; nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
