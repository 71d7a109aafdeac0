"""Playing a program: its steps one by one, what else happens in between, and what is found.

Beside the calls of processes a step may be something that drivers do, that goes wrong, or that the
user does. It knows nothing about what a leak is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

from kernel.builtin import BUILTIN
from kernel.effects import Tick
from llmagentos.abi.process import INIT
from tests.interference.drivers import CARDS, HOST
from tests.interference.markers import PRIVATE, TEAM
from tests.interference.mind import Mind, is_below
from tests.interference.program import Dice, Step, program, shrunk
from tests.interference.repertoire import CALLS, FOLLOWED, HEAR, PASSING, TELL
from tests.interference.syscalls import RULES, manifest
from tests.interference.world import Actor, World

# -- what is no call of a process ------------------------------------------------------------


def born(world: World, dice: Dice) -> None:
    """The user starts an agent, private by its manifest or not, or a program says hello."""
    user = world.actors[INIT]
    if dice.once_in(3):
        world.say(user, "proc.adopt", {"name": f"p{len(world.actors)}", "capabilities": RULES})
        return
    labels = dice.pick(([], [], [], [PRIVATE], [TEAM], [PRIVATE, TEAM]))
    mind = Mind(world, user, dice)
    world.say(user, "proc.spawn", {"manifest": manifest(mind, labels), "text": "hello"})


def answer(world: World, dice: Dice) -> None:
    """Some driver goes on with something that it was given."""
    busy = [one for one in world.drivers.values() if any(not w.waits for w in one.work.values())]
    if busy:
        driver = dice.pick(busy)
        open_ = [number for number, work in driver.work.items() if not work.waits]
        driver.goes_on(dice.pick(open_), dice)


def death(world: World, dice: Dice) -> None:
    driver = world.drivers[dice.pick((*CARDS, HOST))]
    if driver.up:
        driver.die()
        if driver.name == HOST:
            world.homeless()
        world.tell(f"{driver.name} died")


def back(world: World, dice: Dice) -> None:
    """A driver comes back; now and then, one that was cleared is not any more."""
    away = [one for one in world.drivers.values() if not one.up]
    if away:
        driver = dice.pick(away)
        driver.register(**({"labels": []} if dice.once_in(4) else {}))
        world.tell(f"{driver.name} is back")


def recarded(world: World, dice: Dice) -> None:
    """A driver registers anew while it has work, and is no more cleared, or somewhere else."""
    busy = [name for name in CARDS if world.drivers[name].work]
    driver = world.drivers[dice.pick(busy or tuple(CARDS))]
    driver.register(**dice.pick(({"labels": []}, {"zone": "lab"}, {})))
    world.tell(f"{driver.name} has another card: {driver.card}")


def reboot(world: World, dice: Dice) -> None:
    """The kernel dies; some drivers come back, some later."""
    world.tell("the kernel is started anew")
    world.crash()
    for driver in world.drivers.values():
        driver.peer = b""
        driver.work.clear()
    world.homeless()
    for driver in world.drivers.values():
        if driver.name == HOST or not dice.once_in(3):
            driver.register()
    # Until then, those that were running wait for their host to claim them.
    tick(world, world.config.claim_patience)


def signal(world: World, dice: Dice) -> None:
    pid = dice.pick(list(world.actors))
    name = dice.pick(("STOP", "STOP", "CONT", "CONT", "CONT", "INT", "TERM", "KILL"))
    world.say(world.actors[INIT], "proc.kill", {"pid": pid, "signal": name})


def given(world: World, dice: Dice) -> None:
    """The user puts labelled data where processes find it."""
    label = dice.pick((PRIVATE, TEAM))
    text = f"news {world.markers.new(label)}"
    where = {"space": "notes", "key": dice.pick(("a", "b"))}
    if dice.once_in(2):
        where = {"path": f"/share/x/{dice.pick(('one', 'two'))}"}
    world.kept.append(where)
    name, what = ("mem.put", "value") if "key" in where else ("fs.write", "text")
    world.say(world.actors[INIT], name, {**where, what: text, "labels": [label]})


def decided(world: World, dice: Dice) -> None:
    """The user answers what was asked last."""
    if world.approvals:
        args = {"approval": world.approvals[-1], "approve": not dice.once_in(3)}
        world.say(world.actors[INIT], "cap.decide", args)


def tick(world: World, seconds: float = 1.0) -> None:
    world.wait_a_turn(seconds)
    world.put_in(Tick())


def meant(world: World, dice: Dice) -> None:
    """What was put of late gets its vectors, and what is looked for by its meaning is found."""
    tick(world, 0.3)
    for driver in world.drivers.values():
        for number in [number for number, work in driver.work.items() if work.kind == "embed"]:
            if number in driver.work:
                driver.goes_on(number, dice)


def followed(world: World, dice: Dice) -> None:
    """Whoever was told something last, by a call of another, looks at that, or passes it on."""
    pid, told = world.news
    actor = world.actors.get(pid)
    if actor is not None and actor.pid != INIT and _acts(world, actor):
        _say(world, actor, *CALLS[dice.pick(FOLLOWED[told])][0](Mind(world, actor, dice)))


EVENTS: Final[dict[str, tuple[Callable[[World, Dice], None], int]]] = {
    "born": (born, 1), "answer": (answer, 30), "death": (death, 3), "back": (back, 4),
    "recarded": (recarded, 2), "reboot": (reboot, 1), "signal": (signal, 3), "given": (given, 5),
    "decided": (decided, 2), "followed": (followed, 4), "meant": (meant, 3),
    "tick": (lambda world, dice: tick(world), 2),
}  # fmt: skip

WEIGHTS: Final = {name: weight for name, (_, weight) in {**CALLS, **EVENTS}.items()}
_RIGHTS: Final = {
    **WEIGHTS,
    "grant": 18,
    "grant too": 18,
    "request": 12,
    "decide": 12,
    "capabilities": 12,
}
"""Of a program that is mostly about who may do what: ways that are rarely taken else."""


def steps_of(seed: int) -> list[Step]:
    """The program of this seed; every fourth is about rights."""
    return program(seed, _RIGHTS if seed % 4 == 3 else WEIGHTS)


# -- playing ---------------------------------------------------------------------------------


def play(
    steps: list[Step], trace: list[str] | None = None, count: Counter[str] | None = None
) -> str:
    """What leaks in it; "" if nothing does. ``count``: what was done, and what had markers."""
    world = World(trace)
    try:
        for step in steps:
            world.wait_a_turn()
            dice, before = Dice(step.dice), world.news
            _do(world, step.name, dice)
            # Often it is looked at, and answered, at once: else little would come of it.
            for _ in range(2):
                if world.news is before or dice.once_in(3):
                    break
                before = world.news
                followed(world, dice)
        # What drivers still have comes out.
        for _ in range(12):
            answer(world, Dice(0b11))
    except AssertionError as found:
        return f"{type(found).__name__}: {found}"
    finally:
        if count is not None:
            count.update({f"ok {name}": times for name, times in world.heard.items()})
            count.update({f"told {name}": times for name, times in world.passed.items()})
        world.close()
    return ""


def _do(world: World, name: str, dice: Dice) -> None:
    if name in EVENTS:
        EVENTS[name][0](world, dice)
        return
    able = [actor for actor in world.actors.values() if _acts(world, actor)]
    if not able:
        return
    able = _fit(world, name, able) or able
    if not dice.once_in(3):
        able = _likely(world, name, able)
    actor = dice.pick(able)
    call, args = CALLS[name][0](Mind(world, actor, dice))
    _say(world, actor, call, args)
    if args.get("pid", actor.pid) == actor.pid:
        name, args = f"own {name}", {"pid": world.parents.get(actor.pid, INIT)}
    if name in FOLLOWED:
        world.news = args["pid"], name


def _say(world: World, actor: Actor, call: str, args: dict[str, Any]) -> None:
    """Every third as a model would, where it can: by the tool of that name."""
    tool = BUILTIN.get(call)
    as_tool = tool is not None and args.keys() <= set(tool.takes)
    if as_tool and crc32(repr(args).encode()) % 3 == 0:
        call, args = "tool.call", {"name": call, "arguments": args}
    world.say(actor, call, args)


def _acts(world: World, actor: Actor) -> bool:
    process = world.machine.table.find(actor.pid)
    return actor.pid != INIT and bool(actor.session) and process is not None and process.alive


def _fit(world: World, name: str, able: list[Actor]) -> list[Actor]:
    """Those for whom such a call is likeliest to lead to something."""
    parents = world.parents
    if name == "exit":
        return [one for one in able if parents.get(one.pid, INIT) != INIT]
    if name in ("wait", "grant", "grant too", "append", "compact", "checkpoint", "restore"):
        return [one for one in able if one.pid in parents.values()]
    if name == "spawn":
        return [one for one in able if parents.get(one.pid, INIT) != INIT]
    if name == "fork":
        agents = [one for one in able if one.peer == b"host"]
        learned = [one for one in agents if one.told and world.machine.table.get(one.pid).labels]
        return [one for one in learned if one.pid in parents.values()] or learned or agents
    if name == "recv":
        mail, table = world.machine.mail, world.machine.table
        return [one for one in able if mail.length(table.get(one.pid))]
    if name in ("decide", "capabilities") and world.approvals:
        asked = [one.pid for one in world.machine.approvals.open()]
        asker = asked[-1] if asked else world.machine.approvals.asker(world.approvals[-1]) or INIT
        if not asked and name == "decide":
            return [one for one in able if parents.get(one.pid, INIT) != INIT]
        return [one for one in able if is_below(parents, asker, one.pid)]
    return []


def _likely(world: World, name: str, able: list[Actor]) -> list[Actor]:
    """Those with most labels if it is about telling, those with fewest if it is about hearing."""
    if name not in TELL and name not in HEAR:
        return able
    watched = [one for one in able if world.machine.table.get(one.pid).watchers]
    if name in PASSING and watched:
        return watched
    best = (max if name in TELL else min)(len(world.labels_of(one.pid)) for one in able)
    return [one for one in able if len(world.labels_of(one.pid)) == best]


def failure(seed: int) -> str:
    """What leaks in the program of this seed, told with the shortest program that still does."""
    steps = steps_of(seed)
    leak = play(steps)
    return f"seed {seed}: {leak}" if leak else ""


def story(seed: int) -> str:
    """The shortest program that leaks as this one does, and all that happens in it."""
    steps = shrunk(steps_of(seed), lambda fewer: bool(play(fewer)))
    trace: list[str] = []
    leak = play(steps, trace)
    lines = [f"seed {seed}, {len(steps)} steps are enough: {', '.join(s.name for s in steps)}"]
    return "\n".join([*lines, *trace, leak])
