"""A program that forwards connections to a Unix socket, as socat does."""

# Its words are those of socat: TCP-LISTEN:PORT, ABSTRACT-LISTEN:NAME or another kind with the path of a Unix
# socket, and the target. {python} is the interpreter.
RELAY = """#!{python}
import socket, sys, threading
kind, _, listen = sys.argv[1].partition(",")[0].partition(":")
target = sys.argv[2].partition(":")[2].partition(",")[0]
if kind.startswith("TCP"):
    server = socket.create_server(("127.0.0.1", int(listen)))
else:
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0" + listen if kind.startswith("ABSTRACT") else listen)
    server.listen()
def copy(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
while True:
    client, _ = server.accept()
    upstream = socket.socket(socket.AF_UNIX)
    upstream.connect(target)
    for pair in ((client, upstream), (upstream, client)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""
