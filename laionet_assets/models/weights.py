"""Where the weights of a model lie on this machine: bundled, local, or downloaded once from the Hugging Face hub.

The hub is asked in this one place, and the libraries then load from the local folder: a missing network is one clear
error at once, not each library's own retries.
"""

import contextlib
from pathlib import Path

from laionet_assets.models.bundled import bundle_of, verified_bundle
from laionet_assets.models.spec import ModelError, ModelSpec

_CONFIGS = ("*.json", "*.txt", "*.model")
_WEIGHTS = ("*.safetensors", "*.bin")
_OTHER_RUNTIMES = ("onnx/*", "openvino/*")


def model_folder(spec: ModelSpec) -> Path:
    """Folder with the config, tokenizer and weights of a sentence-transformers or transformers model.

    Raises ModelError if the hub is needed and cannot be reached, if it has no such model or revision, if the local
    weights are no folder, or if bundled ones are not what they should be.
    """
    if (bundle := bundle_of(spec)) is not None:
        return verified_bundle(spec, bundle)
    if spec.weights is None:
        return hub_folder(spec, spec.model)
    if not spec.weights.is_dir():
        raise spec.error(
            f"weights {spec.weights} is a file; {spec.provider} needs a folder as save_pretrained writes it"
        )
    return spec.weights


def hub_folder(spec: ModelSpec, repository: str) -> Path:
    """Local snapshot of a hub repository at the spec's revision: configs, tokenizer, safetensors (else .bin) weights.

    From the hub's cache if it is there, without a request; else downloaded. Raises ModelError as `model_folder`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    asked = f"{repository} at revision {spec.revision}" if spec.revision else repository
    try:
        with contextlib.suppress(LocalEntryNotFoundError):
            if folder := _snapshot(repository, spec.revision, local_files_only=True):
                return folder
        HfApi().model_info(repository, revision=spec.revision)
        if folder := _snapshot(repository, spec.revision, local_files_only=False):
            return folder
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise spec.error(
            f"the Hugging Face hub has no {asked}, or not for you: {first_line(error)}; check name and revision"
        ) from error
    except (HTTPError, OSError) as error:
        raise unreachable(spec, asked, error) from error
    raise spec.error(
        f"{asked} holds neither .safetensors nor .bin weights; name another model or weights: <local folder>"
    )


def _snapshot(repository: str, revision: str | None, *, local_files_only: bool) -> Path | None:
    """Folder of a snapshot that holds weights; None if it holds none. Raises what huggingface_hub raises."""
    from huggingface_hub import snapshot_download

    for weights in _WEIGHTS:
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=[*_CONFIGS, weights],
            ignore_patterns=list(_OTHER_RUNTIMES),
            local_files_only=local_files_only,
        )
        if any(Path(folder).rglob(weights)):
            return Path(folder)
    return None


def unreachable(spec: ModelSpec, asked: str, error: Exception) -> ModelError:
    """A failed download: what was asked, why it failed, and the three ways out."""
    return spec.error(
        f"{asked} is not on this machine, and the hub cannot be reached: {first_line(error)}. Without a network, set "
        "weights: <local copy>, or fill the hub's cache (HF_HOME) elsewhere and set HF_HUB_OFFLINE=1, or use the "
        f"bundled model {spec.role.bundled}"
    )


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
