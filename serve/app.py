"""The HTTP server: one customer, one product, a cart, what to show to whoever is new.

Every address but `/`, `/openapi.json` and `/health` wants the token: `Authorization: Bearer ...`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import date
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ml_tasks.models.registry import RegistryError
from oncall.alerts.words import cause_of
from perennial.dbt import DbtError
from perennial.settings import SERVE_TOKEN, Settings
from serve.answers import Answers, Cart, Completion, Customer, Health, Product
from serve.fresh import FreshScores, NoSuchDayError
from serve.page import page
from serve.published_copy import PublishedCopy, UnknownError
from serve.refreshing import Refreshing

log = logging.getLogger(__name__)

BEARER = HTTPBearer(auto_error=False)


def create_app(settings: Settings) -> FastAPI:
    """The application of a home. It answers from a copy, which it refreshes in the background.

    Raises:
        SettingsError: If the home was never started.
    """
    copy, fresh = PublishedCopy(settings), FreshScores(settings)
    answers, refreshing = Answers(copy), Refreshing(copy, fresh)
    app = FastAPI(
        title="Perennial",
        description="Published scores of one customer, product or cart.",
        lifespan=_refreshed(refreshing),
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
    )
    app.include_router(_open(app, answers, refreshing))
    known = [Depends(_token_check(settings.password(SERVE_TOKEN)))]
    app.include_router(_published(answers), dependencies=known)
    app.include_router(_fresh(fresh), dependencies=known)
    app.add_exception_handler(UnknownError, _not_found)
    app.add_exception_handler(NoSuchDayError, _refused)
    for error in (psycopg.Error, DbtError, RegistryError):
        app.add_exception_handler(error, _away)
    return app


def _open(app: FastAPI, answers: Answers, refreshing: Refreshing) -> APIRouter:
    """Addresses that hold no data and want no token."""
    router = APIRouter()

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    def index() -> str:
        return page(app.openapi())

    @router.get("/health")
    def health() -> Health:
        """Whether there are answers, and whether they can be brought up to date."""
        return answers.health(refreshing.error)

    return router


def _published(answers: Answers) -> APIRouter:
    """Answers from the copy of what was published."""
    router = APIRouter()

    @router.get("/customers/{customer_id}")
    def customer(customer_id: str) -> Customer:
        """What was published of a customer."""
        return answers.customer(customer_id)

    @router.get("/products/{product_id}")
    def product(product_id: str) -> Product:
        """What was published of a product."""
        return answers.product(product_id)

    @router.post("/cart")
    def complete(chosen: Cart) -> Completion:
        """Products that go with a cart. Unknown products are passed over."""
        return answers.completed(chosen)

    @router.get("/starting-products")
    def starting(
        audience_kind: Annotated[str, Query(description="all, country or first_family.")] = "all",
        audience: Annotated[str, Query(description="The country or the family.")] = "all",
    ) -> dict[str, Any]:
        """What to show to whoever is new; the list for everybody if the audience has none."""
        return answers.starting(audience_kind, audience)

    return router


def _fresh(fresh: FreshScores) -> APIRouter:
    """Answers that are computed now."""
    router = APIRouter()

    @router.get("/customers/{customer_id}/scores")
    def scores(
        customer_id: str,
        as_of_date: Annotated[
            date | None,
            Query(
                description="Orders before this day count: from the models' training date to the"
                " day after the newest order; default: as published."
            ),
        ] = None,
    ) -> dict[str, Any]:
        """Churn, value and survival computed now, from the marts as they are.

        Columns that compare a customer with all others, such as ranks, are left out.
        """
        return fresh.scores(customer_id, as_of_date)

    return router


def _refreshed(refreshing: Refreshing) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        await asyncio.to_thread(refreshing.once)
        task = asyncio.create_task(refreshing.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return lifespan


def _token_check(token: str) -> Callable[..., None]:
    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            words = "say `Authorization: Bearer <token>`; it is the file serve_token of the secrets"
            raise HTTPException(401, words, headers={"WWW-Authenticate": "Bearer"})

    return check


def _not_found(request: Request, error: Exception) -> JSONResponse:
    del request
    return JSONResponse({"detail": str(error)}, status_code=404)


def _refused(request: Request, error: Exception) -> JSONResponse:
    del request
    return JSONResponse({"detail": str(error)}, status_code=422)


def _away(request: Request, error: Exception) -> JSONResponse:
    """What was published last is still answered; what would be computed now is not."""
    log.warning("%s can't be answered: %s", request.url.path, error)
    words = f"{cause_of(error)}; what was published last is at /customers/<customer_id>"
    return JSONResponse({"detail": words}, status_code=503)
