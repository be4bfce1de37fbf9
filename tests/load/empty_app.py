"""The other side of `bench-submit`: FastAPI with a pydantic body of twenty answers, and nothing done with it."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Body(BaseModel):
    paper_token: str
    answers: list[str]
    prediction: int | None = None


@app.post("/submit", status_code=202)
async def submit(body: Body) -> dict[str, str]:
    return {"status": "accepted"}
