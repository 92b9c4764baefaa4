"""Whether facexlib can be used here: it needs the torchvision that was built for this torch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from animegen.errors import PluginError

_HINT = "pytorch.org tells which torchvision belongs to which torch, and where both are"


def require_installed() -> None:
    """Raise PluginError naming a package that is not installed; nothing is imported."""
    for name, package in (("torchvision", f"the torchvision built for {_torch()}"), ("facexlib", "facexlib")):
        if find_spec(name) is None:
            raise PluginError(f"facexlib needs torchvision; {name} is not installed: pip install {package}", _HINT)


def require_facexlib() -> None:
    """Import facexlib with all it needs. Raises PluginError saying what stands in the way."""
    require_installed()
    try:
        import facexlib  # noqa: F401
    except (ImportError, RuntimeError) as error:  # a torchvision built for another torch lacks its operators
        raise PluginError(f"facexlib needs the torchvision built for {_torch()}: {error}", _HINT) from error


def check_facexlib() -> tuple[bool, str]:
    """What ``animegen doctor`` says."""
    try:
        require_facexlib()
    except PluginError as error:
        return False, str(error)
    return True, f"facexlib {version('facexlib')}; its models are for non-commercial research only"


def _torch() -> str:
    try:
        return f"torch {version('torch')}"
    except PackageNotFoundError:
        return "torch"
