"""A chat endpoint on this machine that answers what a test tells it to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class ChatServer:
    """Answers requests in order from `answers`: a text, or a status with its headers."""

    def __init__(self):
        self.answers = []
        self.requests = []
        self.usage = {"prompt_tokens": 100, "completion_tokens": 50}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.requests.append((self.path, dict(self.headers), json.loads(body)))
                status, headers, text = owner.next_answer()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def next_answer(self):
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            message = {"choices": [{"message": {"content": answer}}], "usage": self.usage}
            return 200, {"Content-Type": "application/json"}, json.dumps(message).encode()
        status, headers = answer
        return status, headers, b"not now"


@pytest.fixture
def chat():
    server = ChatServer()
    thread = threading.Thread(target=server.server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.server.shutdown()
    thread.join()
    server.server.server_close()
