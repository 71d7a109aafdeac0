"""Is a model told of its tools in the way that it knows?"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.edge.dialect import HERMES, LLAMA, MISTRAL, Dialect, dialect_of
from drivers.edge.prompt import prompt_tokens
from drivers.edge.telling import told
from llmagentos.abi.driver import Start
from llmagentos.abi.errors import ECONTEXT, EINVAL
from llmagentos.abi.talk import ChatMessage
from tests.drivers.talk import LETTERS, NOW, called, with_tools

CHATML = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
QWEN = (
    "{% if tools %}TOOLS{% for tool in tools %} {{ tool | tojson }}{% endfor %}{{ '\\n' }}"
    "{% endif %}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% for call in m.tool_calls or [] %}{{ '\\n<tool_call>\\n' }}"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}'
    "{{ '}\\n</tool_call>' }}{% endfor %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LLAMA_LIKE = '{% if tools %}{"name": x, "parameters": y}{% endif %}<|ipython|>'
MISTRAL_LIKE = "{% if tools is defined %}{% endif %}[TOOL_CALLS][{}]"


def rendered(template: str, start: Start) -> str:
    """The prompt's text: the tokenizer of this test has a token for each letter."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = SimpleNamespace(chat_template=template)

    def apply(messages: Any, tools: Any, **options: Any) -> Any:
        renderer = PreTrainedTokenizerFast.apply_chat_template
        own = SimpleNamespace(
            get_chat_template=lambda *_: template, chat_template=template, special_tokens_map={}
        )
        text = renderer(own, messages, tools=tools, tokenize=False, add_generation_prompt=True)
        return {"input_ids": LETTERS.encode(text)}

    tokenizer.apply_chat_template = apply
    return LETTERS.decode(prompt_tokens(tokenizer, start, 100_000))


@pytest.mark.parametrize(
    ("template", "dialect"),
    [
        (CHATML, HERMES),
        (CHATML + "{# tools #}no tools <tool_call>", HERMES),
        (QWEN, Dialect("<tool_call>", "</tool_call>", native=True)),
        (QWEN + "<function=x>", HERMES),
        (LLAMA_LIKE, LLAMA),
        (MISTRAL_LIKE, MISTRAL),
        ("{% if tools %}of a kind that nobody here knows{% endif %}", HERMES),
        ({"default": CHATML, "tool_use": MISTRAL_LIKE}, MISTRAL),
    ],
)
def test_does_the_template_say_how_a_model_calls(template: Any, dialect: Dialect) -> None:
    assert dialect_of(SimpleNamespace(chat_template=template)) == dialect


def test_is_a_template_that_tells_of_tools_left_to_do_so() -> None:
    prompt = rendered(QWEN, with_tools(
        ChatMessage(role="user", content="What time is it?"),
        ChatMessage(role="assistant", content="Wait.", tool_calls=[called()]),
        ChatMessage(role="tool", content="noon", tool_call="call_3_0"),
    ))  # fmt: skip
    function = {"name": "time.now", "description": "the time", "parameters": NOW.parameters}
    assert prompt == (
        f"TOOLS {json.dumps({'type': 'function', 'function': function})}\n"
        "<|user|>What time is it?\n"
        '<|assistant|>Wait.\n<tool_call>\n{"name": "time.now", "arguments": {"timezone": "UTC"}}\n'
        "</tool_call>\n<|tool|>noon\n<|assistant|>"
    )


def test_is_any_other_model_told_in_the_system_message() -> None:
    prompt = rendered(CHATML, with_tools(
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="What time is it?"),
        ChatMessage(role="assistant", content="", tool_calls=[called(), called("b", "")]),
        ChatMessage(role="tool", content="noon", tool_call="call_3_0"),
        ChatMessage(role="tool", content="night", tool_call="call_3_1"),
    ))  # fmt: skip
    assert prompt.startswith("<|system|>Be brief.\n\nYou can call tools.")
    assert '\n<tools>\n{"name": "time.now", "description": "the time", "parameters": {' in prompt
    assert prompt.endswith(
        '<|assistant|><tool_call>\n{"name": "time.now", "arguments": {"timezone": "UTC"}}\n'
        '</tool_call>\n<tool_call>\n{"name": "b", "arguments": {}}\n</tool_call>\n'
        "<|user|><tool_response>\nnoon\n</tool_response>\n<tool_response>\nnight\n"
        "</tool_response>\n<|assistant|>"
    )


def test_is_a_template_obeyed_that_wants_no_system_message() -> None:
    strict = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('none') }}"
    prompt = rendered(strict + "{% endif %}{% endfor %}" + CHATML, with_tools())
    assert prompt.startswith("<|user|>You can call tools.")
    assert prompt.endswith("Then answer.\n\nWhat time is it?\n<|assistant|>")
    own = ChatMessage(role="system", content="Mine.")
    with pytest.raises(EINVAL, match="refuses these messages: none"):
        rendered(strict + "{% endif %}{% endfor %}", with_tools(own))


def test_is_nothing_added_where_there_are_no_tools() -> None:
    plain = with_tools().model_copy(update={"tools": []})
    assert rendered(CHATML, plain) == "<|user|>What time is it?\n<|assistant|>"
    assert told(plain, MISTRAL) == ([{"role": "user", "content": "What time is it?"}], None)


def test_do_tools_count_as_a_part_of_the_prompt() -> None:
    with pytest.raises(ECONTEXT, match="own limit"):
        rendered(CHATML, with_tools().model_copy(update={"context_tokens": 100}))


def test_are_ids_such_as_every_template_takes() -> None:
    answer = ChatMessage(role="assistant", content="", tool_calls=[called()])
    result = ChatMessage(role="tool", content="noon", tool_call="call_3_0")
    (first, second), _ = told(with_tools(answer, result), MISTRAL)
    assert first["tool_calls"][0]["id"] == second["tool_call_id"]
    assert len(second["tool_call_id"]) == 9
    assert second["tool_call_id"].isalnum()
    assert second["name"] == "time.now"
