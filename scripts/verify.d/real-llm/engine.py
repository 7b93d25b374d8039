"""A real small language model on loopback: llama.cpp's own server, in this process.

Usage: engine.py MODEL.gguf PORT

One thread on purpose: on a busy machine two are slower than one. It always takes the likeliest word, so that a walk
can be walked again. Prints `ready` once it answers.
"""

import os
import pathlib
import signal
import sys

import xllamacpp


def main() -> None:
    model, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    os.chdir(model.parent)  # the engine says the path that it was given: let it be the name
    params = xllamacpp.CommonParams()
    params.model.path = model.name
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = 4096
    params.n_parallel = 1
    params.n_batch = 512
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.sampling.temp = 0.0
    params.use_jinja = True
    server = xllamacpp.Server(params)
    print("ready", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
