"""The checkout's guard: the kit that judges here is the checkout's own, installed or not. No options, no fixtures."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent


def use_this_checkout() -> None:
    """Refuse a kit installed from elsewhere; let `wnohang.spec` and its neighbours be found in an uninstalled one."""
    if "wnohang" not in sys.modules:
        sys.path.insert(0, str(CHECKOUT))
    import wnohang

    in_use = Path(wnohang.__path__[0]).resolve()
    if in_use != CHECKOUT / "wnohang":
        # Not pytest.UsageError: raised in a conftest, pytest prints it with a traceback.
        print(
            f"wnohang: the kit installed in {in_use} would judge here, not this checkout's: "
            f"pip install -e {CHECKOUT}, or run pytest --pyargs wnohang.conformance from another folder",
            file=sys.stderr,
        )
        raise SystemExit(4)
    # Comes before the finder of an editable installation, which may be one of another checkout.
    if str(CHECKOUT) not in wnohang.__path__:
        wnohang.__path__.append(str(CHECKOUT))


use_this_checkout()
pytest_plugins = ["wnohang.plugin"]
