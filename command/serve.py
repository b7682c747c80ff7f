"""The command that answers over HTTP."""

from __future__ import annotations

from command.app import Panel, command
from command.options import settings_of


@command(Panel.SCORES, "serve")
def serve() -> None:
    """Answer over HTTP what was published of a customer, a product or a cart, until stopped."""
    import uvicorn

    from serve.app import create_app

    settings = settings_of()
    app = create_app(settings)
    address = f"http://{settings.serve_host}:{settings.serve_port}"
    print(f"{address} describes itself; the token is in {settings.secrets_dir}/serve_token")
    uvicorn.run(app, host=settings.serve_host, port=settings.serve_port, access_log=False)
