"""``llmos completion``: the script that completes its commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell's completion script.

    \b
    llmos completion bash > ~/.local/share/bash-completion/completions/llmos
    llmos completion zsh > ~/.zfunc/_llmos
    llmos completion fish > ~/.config/fish/completions/llmos.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "llmos", "_LLMOS_COMPLETE").source())
