"""For those who write agents: a real system in a test, with a model that says what you want.

::

    from llmagentos.testing import Call, Say, running

    with running([Say(calls=[Call("weather", city="Oslo")]), "Take a coat."],
                 tools={"weather": lambda city: "rain"}) as system:
        agent = system.spawn("manifests/butler.yaml", "What do I wear?")
        assert agent.wait(10).answer == "Take a coat."
        assert system.script.asked[0].messages[-1].content == "What do I wear?"

The kernel is the one that users run, in a thread of the test's process; a system is there after
some hundredths of a second. An agent host comes with it, as a process of its own.
"""

from llmagentos.testing.script import Answer, Call, Say, Script
from llmagentos.testing.system import Running, running

__all__ = ["running", "Running", "Say", "Call", "Answer", "Script"]
