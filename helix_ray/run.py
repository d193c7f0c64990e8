"""``python -m helix_ray.run [CONFIG]``: hands over to `helix_ray.cli.run`."""

from __future__ import annotations

from helix_ray.session.signals import Signals, interrupt_on_signals


def main() -> None:
    with Signals():  # a second passes until all is imported
        import typer  # noqa: PLC0415

        from helix_ray.cli import guarded  # noqa: PLC0415
        from helix_ray.cli.run import run  # noqa: PLC0415
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name="python -m helix_ray.run")(run)
    guarded(app)


if __name__ == "__main__":
    interrupt_on_signals()
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
