"""Which HTTP traffic is taken in, by where it goes."""

from __future__ import annotations

import pytest

from llm_strategy.http.hosts import is_model_call, is_provider

PROVIDERS = (
    "api.openai.com eu.api.openai.com my-resource.openai.azure.com my-resource.services.ai.azure.com api.anthropic.com "
    "generativelanguage.googleapis.com aiplatform.googleapis.com us-central1-aiplatform.googleapis.com "
    "europe-west4-aiplatform.googleapis.com bedrock-runtime.us-east-1.amazonaws.com "
    "bedrock-runtime-fips.us-gov-west-1.amazonaws.com bedrock-runtime.cn-north-1.amazonaws.com.cn "
    "bedrock-runtime.eu-central-1.api.aws bedrock-agent-runtime.eu-west-3.amazonaws.com "
    "vpce-0a1.bedrock-runtime.us-east-1.vpce.amazonaws.com api.mistral.ai "
    "codestral.mistral.ai api.groq.com api.cohere.com api.cohere.ai openrouter.ai api.together.xyz api.fireworks.ai "
    "api.deepseek.com api.x.ai api.perplexity.ai api-inference.huggingface.co router.huggingface.co "
    "abc.us-east-1.aws.endpoints.huggingface.cloud api.replicate.com API.OpenAI.com api.openai.com."
).split()
OTHERS = (
    "openai.com cdn.openai.com platform.openai.com notapi.openai.com.example xapi.openai.com api.openai.com.example "
    "huggingface.co storage.googleapis.com www.googleapis.com aiplatform.googleapis.com.example "
    "evil-aiplatform.googleapis.com.example s3.us-east-1.amazonaws.com bedrock.us-east-1.amazonaws.com localhost "
    "127.0.0.1 ::1 example.com ai x.ai mistral.ai github.com"
).split()


@pytest.mark.parametrize("host", PROVIDERS)
def test_hosts_of_providers(host: str) -> None:
    """Whatever is sent there belongs to a model, in every region and at every customer's own name."""
    assert is_provider(host)
    assert is_model_call("GET", host, "/anything")


@pytest.mark.parametrize("host", OTHERS)
def test_other_hosts(host: str) -> None:
    """Neither a provider's website, nor its other services, nor a host that only looks like one."""
    assert not is_provider(host)
    assert not is_model_call("POST", host, "/anything")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/api/v1/chat/completions",
        "/openai/deployments/gpt/chat/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/messages",
        "/anthropic/v1/messages",
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
        "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict",
        "/v1beta/models/text-embedding-004:batchEmbedContents",
        "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
        "/model/anthropic.claude-3-haiku-20240307-v1:0/converse-stream",
        "/model/amazon.titan/invoke",
        "/model/amazon.titan/invoke-with-response-stream",
        "/api/chat",
        "/api/generate",
        "/v2/chat",
    ],
)
def test_known_paths(path: str) -> None:
    """A call to a model is known by its path on any host, if it sends something."""
    assert is_model_call("POST", "127.0.0.1", path)
    assert is_model_call("post", "llm.example", path)
    assert not is_model_call("GET", "127.0.0.1", path)
    assert not is_model_call("POST", "127.0.0.1", f"{path}/more")


@pytest.mark.parametrize("path", ["/", "/v1/messages/1", "/chat", "/rows", "/api/chats", "/v1/messagesx", "/model/x"])
def test_other_paths(path: str) -> None:
    """What only resembles a call to a model passes."""
    assert not is_model_call("POST", "127.0.0.1", path)


@pytest.mark.parametrize(
    ("hosts", "host", "expected"),
    [
        ("llm.example", "llm.example", True),
        ("llm.example", "LLM.Example", True),
        ("a.example, llm.example", "eu.llm.example", True),
        ("a.example\nllm.example", "llm.example", True),
        ("llm.example", "xllm.example", False),
        ("llm.example", "example", False),
        ("", "llm.example", False),
    ],
)
def test_hosts_of_a_project(hosts: str, host: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's own hosts, with what lies below them, separated by commas or white space."""
    monkeypatch.setenv("LLM_STRATEGY_HTTP_HOSTS", hosts)
    assert is_model_call("GET", host, "/anything") is expected
