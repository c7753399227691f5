"""Run a bundle of Python sources on the host: one script, no files written, standard library only.

The action `host_script` sends this file and the bundle, with which its loader calls ``run``. Modules are
imported from memory on demand. The entry function's result is printed between two marker lines, so that a
login banner or a message of sudo before it is ignored.
"""

import sys
from _frozen_importlib import ModuleSpec


class MemoryImporter:
    """Finds and loads the modules of a bundle: module name -> [is it a package, source text]."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, _path=None, _target=None):
        """Return the spec of a bundled module, None for any other."""
        if name not in self.sources:
            return None
        return ModuleSpec(name, self, origin="<host_script>/" + name, is_package=self.sources[name][0])

    def create_module(self, _spec):
        """Return None, so that Python creates the module object as usual."""

    def exec_module(self, module):
        """Compile and run a module's source in its namespace."""
        code = compile(self.sources[module.__name__][1], module.__spec__.origin, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - this is what an importer does

    def get_source(self, name):
        """Return the source text, for tracebacks."""
        return self.sources[name][1]


def run(bundle):
    """Import the entry point of a bundle, call it, print its result, and exit without waiting for threads."""
    import os
    from binascii import b2a_base64
    from json import dumps, loads
    from signal import alarm
    from zlib import compress

    request = loads(bundle)
    if request["timeout"]:
        # The default action of SIGALRM ends the process, even if it hangs in a system call.
        alarm(request["timeout"])
    sys.meta_path.insert(0, MemoryImporter(request["sources"]))
    output, sys.stdout = sys.stdout.buffer, sys.stderr  # keep stray prints out of the answer
    module, function = request["entry"].split(":")
    try:
        entry = getattr(__import__(module, fromlist=[function]), function)
        result = entry(request["arguments"])
        # bytes are JSON already: do not copy a large result
        text = result if isinstance(result, bytes) else dumps(result).encode()
        answer = b'{"result":%s}' % text
    except BaseException as error:  # report every exception to the controller
        from traceback import format_exc

        said = str(error)
        if not said or type(error).__module__ not in request["sources"]:  # ours are sentences
            said = f"{type(error).__name__}: {said}"
        answer = dumps({"error": said, "traceback": format_exc()}).encode()
    marker = request["marker"].encode()
    head = dumps({"python": sys.version.split()[0], "executable": sys.executable}).encode()
    output.write(b"\n%s %s\n%s%s\n" % (marker, head, b2a_base64(compress(answer, 1)), marker))
    output.flush()
    os._exit(0)
