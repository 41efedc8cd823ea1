"""Objects in the images that are sent over HTTP: python serve.py --port 8000, then

    curl --data-binary @cat.jpg http://127.0.0.1:8000/detect

POST /detect takes an image file as the body and answers with the JSON of `sqdet detect --json`; GET /health says that
the model is loaded. Needs pip install 'sqdet-cv[serve]'.
"""

import argparse
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sqdet_cv import Detector, SourceError, SqdetError, __version__
from sqdet_cv.media import Frame, decode_image, json_entry


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="exported .onnx or .sqdet (default: the embedded model)")
    parser.add_argument("--score", type=float, default=0.3, help="least score of a detection (default: 0.3)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: any (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--limit", type=float, default=16, metavar="MB", help="largest image file (default: 16)")
    arguments = parser.parse_args(argv)
    try:
        if not 0 < arguments.limit < 1e6:
            raise SqdetError(f"--limit {arguments.limit:g}: expected megabytes, more than 0")
        if not 0 <= arguments.port < 1 << 16:
            raise SqdetError(f"--port {arguments.port}: expected a number from 0 to 65535")
        detector = Detector(arguments.model, score_threshold=arguments.score)
    except SqdetError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    uvicorn.run(make_app(detector, round(arguments.limit * 1e6)), host=arguments.host, port=arguments.port)
    return 0


def make_app(detector: Detector, most_bytes: int) -> Starlette:
    def find(data: bytes) -> dict:
        image_bgr = decode_image(data, "the body")
        return json_entry("body", Frame(image_bgr, 0, None, 1), detector(image_bgr))

    async def detect(request: Request) -> JSONResponse:
        data = await read_body(request, most_bytes)
        try:
            return JSONResponse(await run_in_threadpool(find, data))  # other requests are read meanwhile
        except SourceError as error:
            raise HTTPException(400, str(error)) from None

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": __version__, "labels": detector.spec.labels})

    async def explain(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    routes = [Route("/detect", detect, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, exception_handlers={HTTPException: explain})


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body, of which no more is kept than is allowed, whatever its header says."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > most_bytes:
                raise HTTPException(413, f"the body is larger than {most_bytes} bytes")
    except ClientDisconnect:
        raise HTTPException(400, "the body ended too early") from None
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main())
