"""Runs the cases of tests/conformance with the Python client, and writes down what it observed."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

import scotoma
from scotoma import hooks, steps, tokens
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import intervention_pb2 as pb_iv

Observed = dict[str, Any]
LONG: dict[str, Any] = {"max_tokens": 1000, "sampling": pb.Sampling(temperature=100, seed=96)}


def shown(message: Message) -> Observed:
    return json_format.MessageToDict(message)


def error_of(error: scotoma.ScotomaError) -> Observed:
    fields = [{"field": f.field, "description": f.description} for f in error.fields]
    return {"code": error.code.name, "reason": error.reason or "", "fields": fields}


def messages_of(prompt: pb.Prompt) -> list[dict[str, Any]] | str:
    """A conversation as people write it; both texts and messages where a case asks for them."""
    names = {pb.ROLE_SYSTEM: "system", pb.ROLE_USER: "user", pb.ROLE_ASSISTANT: "assistant"}
    return [{"role": names[m.role], "content": [part_of(p) for p in m.parts]} for m in prompt.messages] or ""


def part_of(part: pb.ChatPart) -> dict[str, Any]:
    return {"type": "image", "image": part.image} if part.HasField("image") else {"type": "text", "text": part.text}


def fields_of(message: Any, *without: str) -> dict[str, Any]:  # noqa: ANN401
    """The fields of a request as keywords, its prompt spread out."""
    own = {f.name: v for f, v in message.ListFields() if f.name not in without}
    if "prompt" in own:
        prompt = own.pop("prompt")
        own |= {"text": prompt.text or messages_of(prompt), "images": list(prompt.images)}
    return own


async def items(stream: Any) -> AsyncIterator[Any]:  # noqa: ANN401
    """Of either client."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


async def result(value: Any) -> Any:  # noqa: ANN401
    return await value if inspect.iscoroutine(value) else value


class Runner:
    def __init__(self, script: dict[str, Any], client_type: Any) -> None:  # noqa: ANN401
        self.script, self.client_type = script, client_type
        self.client = client_type(script["address"])
        self.square = base64.b64decode(script["pictures"]["square"])
        self.records: dict[str, pb.Provenance] = {}

    async def case(self, case: dict[str, Any]) -> Observed:
        run: Callable[..., Coroutine[Any, Any, Observed]] = getattr(self, f"run_{case.get('call') or case['do']}")
        try:
            return await run(case)
        except scotoma.ScotomaError as error:
            return {"error": error_of(error)}

    def control(self, what: str) -> str:
        with urllib.request.urlopen(f"{self.script['control']}/{what}") as response:
            text: str = response.read().decode()
            return text

    async def long(self, client: Any) -> Any:  # noqa: ANN401
        return await result(client.generate(self.script["question"], self.square, **LONG))

    async def finished(self, stream: Any) -> Observed:  # noqa: ANN401
        return {"finished": shown(await result(stream.finish()))}

    async def run_generate(self, case: dict[str, Any]) -> Observed:
        request = json_format.ParseDict(case["request"], pb.GenerateRequest())
        answer = await result(self.client.generate(**fields_of(request)))
        tokens = [shown(token) async for token in items(answer)]
        self.records[case["name"]] = answer.finished.provenance
        return {"started": shown(answer.started), "tokens": tokens, "finished": shown(answer.finished)}

    async def run_verify(self, case: dict[str, Any]) -> Observed:
        return {"response": shown(await result(self.client.verify(self.records[case["of"]], [self.square])))}

    async def run_score(self, case: dict[str, Any]) -> Observed:
        request = json_format.ParseDict(case["request"], pb.ScoreRequest())
        return {"response": shown(await result(self.client.score(**fields_of(request))))}

    async def run_sweep(self, case: dict[str, Any]) -> Observed:
        request = json_format.ParseDict(case["request"], pb.SweepRequest())
        options = fields_of(request.score if request.HasField("score") else request.generate)
        if request.HasField("grid"):
            options["grid"] = list(request.grid.interventions)
            options["axes"] = {axis.field: list(axis.numbers.values) for axis in request.grid.axes}
        else:
            options["variants"] = [list(variant.interventions) for variant in request.variants]
        sweep = await result(self.client.sweep(**options))
        results = sorted([shown(r) async for r in items(sweep)], key=lambda r: r.get("variant", 0))
        return {"started": shown(sweep.started), "results": results, "finished": shown(sweep.finished)}

    async def run_capture(self, case: dict[str, Any]) -> Observed:
        request = json_format.ParseDict(case["request"], pb.CaptureRequest())
        capture = await result(self.client.capture(**fields_of(request)))
        activations = []
        async for a in items(capture):
            top = [{"tokens": [shown(token) for token in row]} for row in a.top]
            numbers = [float(v) for v in a.array.reshape(-1)]
            shape = list(a.array.shape) if numbers else []
            where = {"target": a.target, "point": a.point, "step": a.step, "image": a.image, "view": a.view}
            features = [shown(pb.TopFeatures(features=list(row), values=list(row.values()))) for row in a.features]
            held = {"tokens": a.tokens, "shape": shape, "values": numbers, "top": top, "features": features}
            activations.append({**where, **held})
        return {"activations": activations, "finished": shown(capture.finished)}

    async def run_trace(self, case: dict[str, Any]) -> Observed:
        request = json_format.ParseDict(case["request"], pb.TraceRequest())
        clean, corrupted, grid = request.clean, request.corrupted, request.grid
        # Interventions corrupt the clean prompt.
        other: Any = list(corrupted.interventions) or (corrupted.prompt.text, list(corrupted.prompt.images))
        kind = request.metric.WhichOneof("kind")
        answer = getattr(request.metric, kind)
        words = (answer.answer, answer.other) if kind == "logprob_difference" else (answer,)
        options: dict[str, Any] = {"metric": kind, "positions": list(grid.positions), "each_head": grid.each_head}
        if grid.points:
            options["hook"] = pb_iv.Target(point=grid.points[0], layers=grid.layers, heads=grid.heads)
        if request.HasField("path"):
            options["receiver"] = request.path.receiver
        if request.direction:
            options["direction"] = pb.TraceDirection.Name(request.direction).removeprefix("TRACE_DIRECTION_").lower()
        trace = await result(
            self.client.trace((clean.prompt.text, list(clean.prompt.images)), other, *words, **options)
        )
        cells = [shown(cell) async for cell in items(trace)]
        cells.sort(key=lambda cell: [cell.get(axis, 0) for axis in ("point", "layer", "position", "head")])
        ends = {"baseline": shown(trace.baseline), "finished": shown(trace.finished)}
        return {"started": shown(trace.started), "cells": cells, **ends}

    async def run_attribute(self, case: dict[str, Any]) -> Observed:
        request = json_format.ParseDict(case["request"], pb.AttributeRequest())
        options = fields_of(request, "metric", "method")
        method = pb.AttributionMethod.Name(request.method).removeprefix("ATTRIBUTION_METHOD_").lower()
        found = await result(self.client.attribute(**options, answer=request.metric.logprob, method=method))
        scores = [
            {
                "point": a.point,
                "tokens": a.tokens,
                "shape": list(a.array.shape),
                "values": [float(v) for v in a.array.flat],
            }
            async for a in items(found)
        ]
        return {"scores": scores, "finished": shown(found.finished)}

    async def run_preview(self, case: dict[str, Any]) -> Observed:
        request = json_format.ParseDict(case["request"], pb.PreviewRequest())
        p = await result(self.client.preview(request.image, **fields_of(request, "image")))
        png = base64.b64encode(p.png).decode()
        size = {"width": p.width, "height": p.height, "gridRows": p.grid[0], "gridColumns": p.grid[1]}
        return {"response": {"png": png, **size, "plan": [shown(r) for r in p.plan]}}

    async def run_listModels(self, _: dict[str, Any]) -> Observed:  # noqa: N802
        return {"response": [shown(m) for m in await result(self.client.list_models())]}

    async def run_getModel(self, case: dict[str, Any]) -> Observed:  # noqa: N802
        return {"response": shown(await result(self.client.get_model(**case["request"])))}

    async def run_listHookPoints(self, _: dict[str, Any]) -> Observed:  # noqa: N802
        return {"response": [shown(p) for p in await result(self.client.list_hook_points())]}

    async def run_describe(self, _: dict[str, Any]) -> Observed:
        return {"response": [shown(r) for r in await result(self.client.describe())]}

    async def run_checkParity(self, _: dict[str, Any]) -> Observed:  # noqa: N802
        events = [shown(e) async for e in items(await result(self.client.check_parity()))]
        return {"events": len(events), "last": events[-1]}

    async def evaluate(
        self,
        request: dict[str, Any],
        data: str,
        results: Path | None = None,
        client: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        header = json_format.ParseDict(request, bench.EvaluateHeader())
        variants = {variant.name: variant for variant in header.variants}
        options: dict[str, Any] = {"answering": header.answering, "max_tokens": header.max_tokens}
        if header.columns:
            options["columns"] = dict(header.columns)
        client = client or self.client
        return await result(client.evaluate(header.rule, data, variants=variants, results=results, **options))

    async def run_evaluate(self, case: dict[str, Any]) -> Observed:
        run = await self.evaluate(case["request"], case["data"])
        results = [shown(r) async for r in items(run)]
        results.sort(key=lambda r: (r.get("id", ""), r.get("variant", "")))
        return {"rule": run.started.rule, "results": results, "finished": shown(run.finished)}

    async def run_restart(self, case: dict[str, Any]) -> Observed:
        return await self.moved(case, self.client_type(self.script["address"], patience=0), "restart")

    async def run_onward(self, case: dict[str, Any]) -> Observed:
        return await self.moved(case, self.client_type(self.script["address"]), "restart")

    async def run_failover(self, case: dict[str, Any]) -> Observed:
        self.control("revive")
        return await self.moved(case, self.client_type([self.script["address"], self.script["second"]]), "kill")

    async def moved(self, case: dict[str, Any], client: Any, how: str) -> Observed:  # noqa: ANN401
        same = next(c for c in self.script["cases"] if c["name"] == case["same"])
        file = Path(self.script["folder"]) / f"{case['do']}.jsonl"
        lost: Observed = {}
        run, count = await self.evaluate(same["request"], same["data"], file, client), 0
        try:
            async for _ in items(run):
                count += 1
                if count == 50:
                    self.control(how)
        except scotoma.ScotomaError as error:
            lost = {"code": error.code.name}
            run = await self.evaluate(same["request"], same["data"], file)
        finished = await self.finished(run)
        await result(client.close())
        lines = len(file.read_text().splitlines())
        written = [[r.id, r.variant, r.text, r.output_digest] for r in scotoma.read_results(file)]
        return {"lost": lost, "lines": lines, "results": sorted(written), **finished}

    async def run_other(self, _: dict[str, Any]) -> Observed:
        self.control("revive")
        client = self.client_type([self.script["address"], self.script["second"]], patience=0)
        pictures = [base64.b64decode(data) for _, data in sorted(self.script["pictures"].items())]
        handles = [await result(client.upload_image(data)) for data in pictures]
        self.control("kill")
        texts = []
        for handle in handles:
            answer = await result(client.generate(self.script["question"], handle, max_tokens=2))
            texts.append((await result(answer.finish())).text)
        await result(client.close())
        return {"texts": texts}

    async def run_page(self, _: dict[str, Any]) -> Observed:
        return {"asked": await self.asked(self.script["page"])}

    async def run_resume(self, _: dict[str, Any]) -> Observed:
        permuted = {"name": "permuted", "interventions": [{"permuteTokens": {"seed": "1"}}]}
        request = {"rule": "shapes", "answering": "ANSWERING_GENERATE", "variants": [{"name": "original"}, permuted]}
        run = await self.evaluate(request, self.script["benchmark"], Path(self.script["folder"]) / "begun.jsonl")
        return {"known": len(run.known), **await self.finished(run)}

    async def run_upload(self, _: dict[str, Any]) -> Observed:
        image = await result(self.client.upload_image(self.square))
        answer = await result(self.client.generate(self.script["question"], image))
        return {"handle": image.handle, **await self.finished(answer)}

    async def run_models(self, _: dict[str, Any]) -> Observed:
        place = self.script["place"]
        events = [e async for e in items(await result(self.client.load_model(f"{place}/model", name="next")))]
        info = await result(self.client.load_projector("second", f"{place}/mm_projector.bin", model="next"))
        freed = await result(self.client.unload_model("next"))
        gone = await self.case({"call": "getModel", "request": {"model": "next"}})
        family, projectors = events[-1].model.family, list(info.projectors)
        return {"family": family, "projectors": projectors, "freed": freed, "gone": gone["error"]}

    async def run_deadline(self, _: dict[str, Any]) -> Observed:
        answer = await result(self.client.generate(self.script["question"], self.square, timeout=0.05, **LONG))
        return await self.finished(answer)

    async def run_cancel(self, _: dict[str, Any]) -> Observed:
        before = int(self.control("cancelled"))
        answer = await self.long(self.client)
        async for _token in items(answer):
            break
        answer.cancel()
        for _try in range(200):
            if int(self.control("cancelled")) > before:
                return {"cancelled": True}
            await asyncio.sleep(0.1)
        return {"cancelled": False}

    async def run_down(self, _: dict[str, Any]) -> Observed:
        self.control("down")
        return await self.finished(await result(self.client.generate(self.script["question"], self.square)))

    async def run_lost(self, _: dict[str, Any]) -> Observed:
        return await self.broken_off(self.client, "restart")

    async def run_silent(self, _: dict[str, Any]) -> Observed:
        client = self.client_type(self.script["relay"], keepalive=1)
        found = await self.broken_off(client, "lose")
        await result(client.close())
        return found

    async def broken_off(self, client: Any, how: str) -> Observed:  # noqa: ANN401
        count = 0
        try:
            async for _token in items(await self.long(client)):
                count += 1
                if count == 1:
                    self.control(how)
        except scotoma.ScotomaError as error:
            return {"tokens": count > 0, "error": {"code": error.code.name}}
        return {"tokens": count > 0}

    async def run_key(self, _: dict[str, Any]) -> Observed:
        key = self.script["apiKey"]
        return {
            what: await self.asked(self.script["keyed"], api_key=own)
            for what, own in (("name", key), ("without key", None))
        }

    async def run_tls(self, _: dict[str, Any]) -> Observed:
        names = ("ca", "cert", "key", "api_key")
        ways = {"ca": "ca", "cert": "cert", "key": "key", "api_key": "apiKey"}
        found: Observed = {}
        for what, left_out in (("name", ()), ("without certificate", ("cert", "key")), ("without key", ("api_key",))):
            own = {name: self.script[ways[name]] for name in names if name not in left_out}
            found[what] = await self.asked(self.script["secure"], **own)
        # What a client sees of a connection that is refused is its library's.
        return {**found, "without certificate": found["without certificate"]["code"]}

    async def asked(self, address: str, **settings: Any) -> Any:  # noqa: ANN401
        client = self.client_type(address, patience=0, **settings)
        try:
            return (await result(client.get_model())).name
        except scotoma.ScotomaError as error:
            return error_of(error)
        finally:
            await result(client.close())

    async def run_overhead(self, _: dict[str, Any]) -> Observed:
        times = []
        for _try in range(1000):
            begun = time.perf_counter()
            answer = await result(self.client.generate(self.script["question"], self.square, max_tokens=1))
            finished = await result(answer.finish())
            times.append([time.perf_counter() - begun, finished.usage.total_seconds])
        return {"times": times}

    async def run_builders(self, _: dict[str, Any]) -> Observed:
        builders = {
            "permute": scotoma.permute_tokens(7), "drop": scotoma.drop_layers([2, 3]),
            "occlude": scotoma.occlude_random(0.5, 7), "swap": scotoma.swap_projector(random_seed=7),
        }  # fmt: skip
        return {name: json.loads(scotoma.to_json(built)) for name, built in builders.items()}

    async def run_helpers(self, _: dict[str, Any]) -> Observed:
        resid = hooks.blocks[5].hook_resid_post
        built = [
            scotoma.permute_tokens(7, scope="within_blocks", blocks=2),
            scotoma.occlude_salient(share=0.25, head=1, fill="blur", grid=6, blur_sigma=2),
            scotoma.drop_layers([1], stack="vision_tower"),
            scotoma.swap_projector(identity=True),
            scotoma.blank_image(rgb=(1, 2, 3)),
            scotoma.shuffle_patches(3, 1),
            scotoma.select_tokens(tokens.visual & tokens.block(2, 3), "merge", positions="compact", merge=4),
            scotoma.replace_tokens(
                tokens.by_norm("language_model.blocks.3.hook_resid_post", count=2, among="visual"), noise=3
            ),
            scotoma.repeat_layers(2, 3),
            scotoma.exit_early(6),
            scotoma.add_noise(resid, 0.5, "keskar", seed=1, tokens=tokens.visual),
            scotoma.steer(resid, [1, 2], 2, tokens=tokens.last, steps=0),
            scotoma.project_out(resid, [[1, 0], [0, 1]]),
            scotoma.scale(hooks.blocks[5].attn.hook_z, 0.5, heads=1, dimensions=2),
            scotoma.ablate(hooks.blocks[3:5].hook_mlp_out, "mean", tokens=~(tokens.text | tokens.last)),
            scotoma.patch(resid, [[1, 2]], tokens=tokens.last),
            scotoma.knock_out_attention(tokens.last, tokens.visual, layers=[2], heads=[1], steps=steps[1:]),
            scotoma.prune_tokens(2, 0.5, received_from=tokens.question),
            scotoma.clamp_norm(hooks.projector.hook_tokens, 1),
            scotoma.set_feature(hooks.projector.hook_tokens, [3, 7], sae="shapes", clamp=2.5),
        ]
        found = [json.loads(scotoma.to_json(own)) for own in built]
        return {next(iter(own)): own for own in found}


async def main(arguments: list[str]) -> None:
    client_type: Any = scotoma.Client
    if arguments[0] == "--asyncio":
        client_type, arguments = scotoma.AsyncClient, arguments[1:]
    script = json.loads(Path(arguments[0]).read_text())
    runner = Runner(script, client_type)
    observed = {case["name"]: await runner.case(case) for case in script["cases"]}
    Path(arguments[1]).write_text(json.dumps(observed))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
