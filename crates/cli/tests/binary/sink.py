"""A mail relay that nobody here wrote: aiosmtpd. Prints its port, then a line of JSON for each mail that was handed in.

Arguments: `later` answers 451 to the first try, `never` refuses every recipient with 550, `login NAME PASSWORD` wants
to know who it is, `tls CERT KEY` speaks TLS from the first byte. Without any it takes everything.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Sink:
    def __init__(self, mode):
        self.mode = mode
        self.tries = 0

    def say(self, **what):
        print(json.dumps(what), flush=True)

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.mode == "never":
            self.say(refused=address)
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        self.tries += 1
        later = self.mode == "later" and self.tries == 1
        self.say(
            taken=not later, sender=envelope.mail_from, to=envelope.rcpt_tos, subject=mail["subject"], id=mail["message-id"],
            date=mail["date"].datetime.isoformat(), auto=mail["auto-submitted"], text=body.get("text/plain"),
            html=body.get("text/html"), defects=[str(defect) for defect in mail.defects],
            login=bool(session.authenticated),
        )
        return "451 later, please" if later else "250 OK"


def main():
    mode, *rest = sys.argv[1:] or [""]
    options = {}
    if mode == "login":
        name, password = (word.encode() for word in rest)

        def known(server, session, envelope, mechanism, data):
            fits = isinstance(data, LoginPassword) and (data.login, data.password) == (name, password)
            return AuthResult(success=fits)

        options = {"authenticator": known, "auth_required": True, "auth_require_tls": False}
    context = None
    if mode == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*rest)
    asyncio.run(serve(Sink(mode), options, context))


async def serve(sink, options, context):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, loop=loop, **options), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


main()
