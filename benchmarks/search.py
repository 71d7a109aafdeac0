"""Search: how often is the right page among the first five, by words, by meaning and by both?

2,000 pages of Python's own documentation go into memory, vectors are made by the embedding driver's
engine, and a hundred questions in a user's own words are asked, through the kernel's machine. Each
question names the pages that answer it (``tests/search``). ``any word`` is what FTS5 alone does
best: BM25 over rows with some of the words; a search by words wants all of them, and a question
seldom has only words of its answer.

    python benchmarks/search.py [--pages N] [--questions N] [--json] [--misses] [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.search.library import FIRST, Library
from tests.search.pages import PAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=PAGES, help="(%(default)s)")
    parser.add_argument("--questions", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--misses", action="store_true", help="tell what both did not find")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument(
        "--check", action="store_true", help="fail if both find less than 80 %%, or than any word"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    library = Library(options.pages, options.questions)
    library.fill()
    filled = time.perf_counter() - started
    rates = {}
    for way in ("words", "any word", "meaning", "both"):
        began = time.perf_counter()
        found = library.found(way)
        took = (time.perf_counter() - began) / len(library.questions)
        rates[way] = {"found": len(found) / len(library.questions), "ms": round(1000 * took, 2)}
    told = {
        "pages": len(library.pages), "questions": len(library.questions),
        "vectors_seconds": round(filled, 1), "first": FIRST, "ways": rates,
    }  # fmt: skip
    both, words = rates["both"]["found"], rates["any word"]["found"]
    failed = options.check and (both < 0.8 or both <= words)
    if options.json:
        print(json.dumps(told, indent=2))
        sys.exit(failed)
    print(f"{told['pages']} pages got their vectors in {filled:.1f} s")
    for way, rate in rates.items():
        print(f"{way:>9}: {rate['found']:4.0%} in the first {FIRST}, {rate['ms']} ms a question")
    if options.misses:
        both = library.found("both")
        for one in library.questions:
            if one.ask not in both:
                print(f"- {one.ask}\n    wanted {', '.join(one.pages)}")
                print(f"    got    {', '.join(library.search(one.ask, 'both'))}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
