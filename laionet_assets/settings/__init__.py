"""Settings: everything that a user can choose, from `laionet.yaml` and the environment, checked in one place.

Belongs here: the keys, their defaults, their checks, and where the file is found. Does not belong here: what a key
makes happen. A file a section of the yaml (`sources`, `models`, `image_sets`, `images`, `recipes`, `running`), made of
`values`; all of them together, and what must hold between them (`configuration`); reading them (`loading`), and what is
said of mistakes (`messages`).
"""

from laionet_assets.settings.configuration import Settings
from laionet_assets.settings.image_sets import (
    ComparedSettings,
    ImageSetSettings,
    NeighboursSettings,
    PublishedResultsSettings,
)
from laionet_assets.settings.loading import CONFIG_VARIABLE, SettingsError, find_config, load_settings
from laionet_assets.settings.models import ModelSettings, PictureModelSettings, PredictorSettings
from laionet_assets.settings.recipes import RecipeSettings
from laionet_assets.settings.sources import SourceSettings

__all__ = [
    "CONFIG_VARIABLE",
    "ComparedSettings",
    "ImageSetSettings",
    "ModelSettings",
    "NeighboursSettings",
    "PictureModelSettings",
    "PredictorSettings",
    "PublishedResultsSettings",
    "RecipeSettings",
    "Settings",
    "SettingsError",
    "SourceSettings",
    "find_config",
    "load_settings",
]
