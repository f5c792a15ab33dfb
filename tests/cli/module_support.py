"""What the tests of C modules share: small modules as text, and a project whose compiled modules go to one cache."""
import pathlib
import shutil

EXAMPLES = pathlib.Path(__file__).parents[2] / "migrations" / "examples"

# What a field of the descriptor looks like in C.
LISTS = ("writes", "indexes", "reads", "guards", "verify")


def module(up, *, before="", down=None, **fields):
    """The text of a module: the body of up(ctx), of down(ctx), things before them, and fields of the descriptor."""
    rows = []
    for name, value in fields.items():
        if name in LISTS:
            rows.append(f".{name} = MIG_LIST({', '.join(chr(34) + v + chr(34) for v in value)}),")
        elif isinstance(value, int):
            rows.append(f".{name} = {value},")
        else:
            rows.append(f'.{name} = "{value}",')
    down_code = f"static bool down(mig_ctx *ctx) {{ {down} }}" if down else ""
    return f"""#include <mig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
{before}
static bool up(mig_ctx *ctx) {{
{up}
}}
{down_code}
const mig_module mig_module_descriptor = {{.abi = MIG_MODULE_ABI, {' '.join(rows)} .up = up,{' .down = down,' if down else ''}}};
"""


def example(p, name):
    """Copies an example of migrations/examples into the project."""
    return shutil.copy(EXAMPLES / name, p.migrations / name)


# Writes before it goes wrong, so that there is something to put back.
HALF_WAY = """
  if (!mig_ctx_step(ctx, mig_ctx_doc(ctx,
        "{'update': {'collection': 'users', 'filter': {}, 'update': {'$set': {'email': 'gone'}}}}"))) return false;
"""
