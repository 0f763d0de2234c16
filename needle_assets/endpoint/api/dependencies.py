"""What routes ask for: the services, and the files as clients see them."""

from typing import Annotated

from fastapi import Depends, Request

from needle_assets.endpoint.api.storage import FileStore
from needle_assets.endpoint.services import Services


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _files(request: Request) -> FileStore:
    files: FileStore = request.app.state.files
    return files


ServicesDep = Annotated[Services, Depends(_services)]
FilesDep = Annotated[FileStore, Depends(_files)]
