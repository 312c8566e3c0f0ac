"""Directories of tiny random captioners, as transformers saves the real ones; quick to make.

They test interfaces, never quality: what they say is a random row of words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BartTokenizer,
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    GPT2Tokenizer,
)

VOCAB = str(Path(__file__).parents[3] / "model" / "vocab" / "vocab.txt")
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = {**TOWER, "image_size": 32, "patch_size": 8}
KINDS = ("blip", "git", "blip-2", "florence2")


def write_captioner(kind: str, directory: Path, *, seed: int = 0) -> Path:
    """A directory of one of `KINDS` with random weights."""
    torch.manual_seed(seed)
    processor, model = _BUILDERS[kind]()
    processor.save_pretrained(directory)
    model.save_pretrained(directory)
    return directory


def _blip() -> tuple[Any, Any]:
    tokenizer = BertTokenizer(vocab=VOCAB)
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
    config = BlipConfig(
        text_config={
            **TOWER,
            "encoder_hidden_size": 32,
            "vocab_size": 30524,
            "bos_token_id": 30522,
            "sep_token_id": 102,
            "eos_token_id": 102,
            "pad_token_id": 0,
            "projection_dim": 16,
        },
        vision_config={**VISION, "projection_dim": 16},
        projection_dim=16,
    )
    pixels = BlipImageProcessor(size={"height": 32, "width": 32})
    return BlipProcessor(pixels, tokenizer), BlipForConditionalGeneration(config)


def _git() -> tuple[Any, Any]:
    config = GitConfig(
        vision_config=VISION,
        vocab_size=30522,
        max_position_embeddings=128,
        bos_token_id=101,
        eos_token_id=102,
        **TOWER,
    )
    pixels = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return GitProcessor(pixels, BertTokenizer(vocab=VOCAB)), GitForCausalLM(config)


def _letters(*special: str) -> dict[str, int]:
    return {word: n for n, word in enumerate([*special, *sorted(ByteLevel.alphabet())])}


def _blip2() -> tuple[Any, Any]:
    vocab = _letters("<pad>", "<s>", "</s>", "<unk>")  # the processor adds <image>
    tokenizer = GPT2Tokenizer(
        vocab=vocab,
        merges=[],
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
    )
    config = Blip2Config(
        vision_config=VISION,
        qformer_config={**TOWER, "vocab_size": 100, "encoder_hidden_size": 32},
        text_config={
            "model_type": "opt",
            "vocab_size": len(vocab) + 1,
            "hidden_size": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 128,
            "word_embed_proj_dim": 32,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        num_query_tokens=4,
        image_token_index=len(vocab),
    )
    pixels = BlipImageProcessor(size={"height": 32, "width": 32})
    return Blip2Processor(pixels, tokenizer, num_query_tokens=4), Blip2ForConditionalGeneration(
        config
    )


def _florence2() -> tuple[Any, Any]:
    words = ["<s>", "<pad>", "</s>", "<unk>", "<image>"]
    vocab = _letters(*words)
    tokenizer = BartTokenizer(
        vocab=vocab, merges=[], extra_special_tokens={"image_token": "<image>"}
    )
    config = Florence2Config(
        vision_config={
            "embed_dim": [8, 8, 16, 32],
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 2, 2],
            "num_groups": [1, 1, 2, 2],
            "projection_dim": 32,
            "window_size": 2,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": len(vocab),
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "max_position_embeddings": 256,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": None,
        },
        image_token_id=vocab["<image>"],
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    pixels = CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    pixels.image_seq_length = 5
    processor = Florence2Processor(pixels, tokenizer, num_additional_image_tokens=0)
    return processor, Florence2ForConditionalGeneration(config)


_BUILDERS = {"blip": _blip, "git": _git, "blip-2": _blip2, "florence2": _florence2}
