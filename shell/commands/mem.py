"""``llmos mem``: what agents remember beyond their contexts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from llmagentos.abi.errors import EINVAL, ENOENT, EQUOTA
from shell.commands.process import PID
from shell.input import nothing_piped_in, piped_in
from shell.session import open_system
from shell.terminal import clock, is_screen, print_json, printable, size


def _place(command: Callable[..., Any]) -> Callable[..., Any]:
    """Whose memory it is."""
    space = click.option("--space", help="A shared space; default: the process's own.")
    pid = click.option("--pid", type=PID, help="Of this process; default: the user's own.")
    return space(pid(command))


_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group()
def mem() -> None:
    """What agents remember beyond their contexts.

    \b
    llmos mem search "the user's birthday" --space notes
    llmos mem put birthday "the third of May" --space notes
    llmos mem ls --pid 12
    """


@mem.command()
@click.argument("words", nargs=-1, required=True)
@_place
@click.option(
    "--limit", type=click.IntRange(1, 100), default=10, show_default=True,
    help="Of so many rows, the best.",
)  # fmt: skip
@click.option(
    "--by", type=click.Choice(["words", "meaning", "both"]), default="both", show_default=True,
    help="words: a row has all of them; meaning: it says something like this.",
)  # fmt: skip
@_as_json
def search(
    words: tuple[str, ...], space: str | None, pid: int | None, limit: int, by: str, as_json: bool
) -> None:
    """Find the rows that have these words, or mean something like them, best first.

    \b
    llmos mem search invoices of May --space notes
    llmos mem search what does she eat --by meaning
    llmos mem search noodles --pid 12 --json | jq '.hits[].row.value'
    """
    query = " ".join(words)
    with open_system() as system:
        found = system.call("mem.search", query=query, space=space, pid=pid, limit=limit, by=by)
    if as_json:
        return print_json(found)
    if found["note"]:
        click.echo(f"found by words only: {found['note']}", err=True)
    elif found["lacking"] and found["by"] != "words":
        click.echo(f"{found['lacking']} rows have no vector yet", err=True)
    if len(found["hits"]) == limit:
        click.echo(f"these are the best {limit}; there may be more", err=True)
    if not found["hits"]:
        words_only = found["by"] == "words"
        return click.echo("no row has all these words" if words_only else "no row is like this")
    from shell.table import render

    rows = [
        {
            "KEY": hit["row"]["key"],
            "SCORE": f"{hit['score']:.3g}",
            "LABELS": ",".join(hit["row"]["labels"]),
            "WHERE": hit["snippet"],
        }
        for hit in found["hits"]
    ]
    columns = ["KEY", "SCORE", "LABELS", "WHERE"]
    return click.echo(
        render(rows, columns, shorten=("KEY", "WHERE"), omit=("LABELS",), right=("SCORE",))
    )


@mem.command()
@click.argument("key")
@_place
@_as_json
def get(key: str, space: str | None, pid: int | None, as_json: bool) -> None:
    """The value of a row: a text as it is, anything else as JSON.

    \b
    llmos mem get birthday --space notes
    """
    with open_system() as system:
        row = system.call("mem.get", key=key, space=space, pid=pid)
    if as_json or not isinstance(row["value"], str):
        return print_json(row if as_json else row["value"])
    return click.echo(printable(row["value"]) if is_screen(sys.stdout) else row["value"])


@mem.command()
@click.argument("key")
@click.argument("value", required=False)
@_place
@click.option("--parse", is_flag=True, help="The value is JSON; default: a text.")
@click.option("--ttl", metavar="TIME", help="Forget it after so long: 30s, 5m, 1h30m, 7d.")
@click.option("--label", "labels", multiple=True, help="A label on it; may be given again.")
@_as_json
def put(
    key: str,
    value: str | None,
    space: str | None,
    pid: int | None,
    parse: bool,
    ttl: str | None,
    labels: tuple[str, ...],
    as_json: bool,
) -> None:
    """Keep a row, in place of the one of the same key.

    \b
    llmos mem put birthday "the third of May" --space notes
    llmos mem put letter - --label private < letter.txt
    llmos mem put pages 12 --parse --ttl 1h
    """
    given = _value(value, parse)
    with open_system() as system:
        done = system.call(
            "mem.put",
            # What was given is always sent, null too.
            {"key": key, "value": given},
            space=space, pid=pid, ttl=ttl, labels=labels or None,
        )  # fmt: skip
    if as_json:
        return print_json(done)
    return click.echo(
        f"{key} is {'kept' if done['created'] else 'replaced'}: {done['bytes']} bytes"
    )


@mem.command()
@click.argument("prefix", default="")
@_place
@_as_json
def ls(prefix: str, space: str | None, pid: int | None, as_json: bool) -> None:
    """The rows there are, by key.

    \b
    llmos mem ls --space notes
    llmos mem ls project/ --pid 12
    """
    rows: list[dict[str, Any]] = []
    more = True
    with open_system() as system:
        while more:
            after = rows[-1]["key"] if rows else None
            page = system.call(
                "mem.list", prefix=prefix, space=space, pid=pid, after=after, limit=1000
            )
            rows += page["rows"]
            more = page["more"]
    if as_json:
        return print_json({"rows": rows})
    if not rows:
        return click.echo("there is no row")
    from shell.table import render

    shown = [
        {
            "KEY": row["key"],
            "SIZE": size(row["bytes"]),
            "OWNER": str(row["owner"]),
            "LABELS": ",".join(row["labels"]),
            "UPDATED": clock(row["updated"]),
            "EXPIRES": clock(row["expires"]) if row["expires"] else "never",
        }
        for row in rows
    ]
    return click.echo(
        render(
            shown,
            list(shown[0]),
            shorten=("KEY",),
            omit=("EXPIRES", "UPDATED", "OWNER"),
            right=("SIZE", "OWNER"),
        )
    )


@mem.command()
@click.argument("key")
@_place
@_as_json
def rm(key: str, space: str | None, pid: int | None, as_json: bool) -> None:
    """Forget a row.

    \b
    llmos mem rm birthday --space notes
    """
    with open_system() as system:
        done = system.call("mem.delete", key=key, space=space, pid=pid)
    if as_json:
        return print_json(done)
    if not done["deleted"]:
        raise ENOENT(f"there is no row {key!r}", hint="llmos mem ls shows which there are")
    return click.echo(f"{key} is forgotten")


def _piped_in() -> bytes:
    # Imported here: a usage error need not wait for it.
    from llmagentos.abi.wire import MAX_BODY

    # No need to read an endless pipe to its end.
    raw = piped_in(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise EQUOTA(
            f"the input is larger than {MAX_BODY:,} bytes, the most that a call can carry",
            hint="llmos fs write takes more",
        )
    return raw


def _value(given: str | None, parse: bool) -> Any:
    """The argument or what is piped in; as text or as the JSON that it says."""
    if given is None and nothing_piped_in():
        raise EINVAL("there is no value", hint="llmos mem put KEY VALUE, or pipe it in")
    try:
        text = _piped_in().decode() if given in (None, "-") else given
        return json.loads(text or "") if parse else text
    except UnicodeDecodeError as error:
        raise EINVAL(
            f"the input is not UTF-8: byte {error.start}", hint="llmos fs write takes any bytes"
        ) from None
    except (ValueError, RecursionError) as error:
        raise EINVAL(
            f"the value is not JSON: {error}", hint="without --parse it is a text"
        ) from None
