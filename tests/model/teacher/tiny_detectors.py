"""Directories of tiny random detectors, as transformers saves the real ones; about a second each.

They test interfaces and arithmetic, never quality. The word pieces of Grounding DINO are the real
ones; CLIP's are its letters alone, so that a word has as many tokens as letters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BertTokenizer,
    CLIPTokenizer,
    DetrImageProcessor,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    OmDetTurboProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTProcessor,
    SwinConfig,
)

from model.inputs.tokenizer import SHIPPED_VOCAB

KINDS = ("grounding-dino", "mm-grounding-dino", "owlv2", "owlvit", "omdet-turbo")


def _swin(scale: int) -> SwinConfig:
    return SwinConfig(
        image_size=64 * scale,
        patch_size=4,
        embed_dim=16 * scale,
        depths=[1, 1, 1 + scale // 2, 1],
        num_heads=[1, 2, 4, 8],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )


def write_detector(kind: str, directory: Path, *, seed: int = 0, scale: int = 1) -> Path:
    """A directory of `kind` with random weights; the same for the same seed.

    scale: times the input's side and the image tower's width, for benchmarks.
    """
    torch.manual_seed(seed)
    processor, model = _BUILDERS[kind](kind, scale)
    _shake(model)
    processor.save_pretrained(directory)
    model.save_pretrained(directory)
    return directory


def _shake(model: torch.nn.Module) -> None:
    """Layers that start at zero or are alike would hide most mistakes."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_table = "embed" in name and "bbox_embed" not in name
            if parameter.ndim > 1 and float(parameter.std()) < 0.05 and not is_table:
                parameter.normal_(0, 0.1)
            if "class_embed" in name and parameter.ndim == 0:
                parameter.fill_(2.0)  # MM-Grounding-DINO's scores would all be close to nothing
            if name.startswith("box_head"):
                parameter.mul_(0.2)  # OWL's boxes would all be larger than the image, or nothing


def _grounding_dino(kind: str, scale: int) -> tuple[Any, Any]:
    old = kind == "grounding-dino"
    config = (GroundingDinoConfig if old else MMGroundingDinoConfig)(
        backbone_config=_swin(scale),
        text_config={
            "model_type": "bert",
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "vocab_size": 30522,
        },
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=20,
        num_feature_levels=4,
    )
    images = GroundingDinoImageProcessor(
        size={"shortest_edge": 64 * scale, "longest_edge": 107 * scale}
    )
    processor = GroundingDinoProcessor(images, BertTokenizer(str(SHIPPED_VOCAB)))
    kinds = GroundingDinoForObjectDetection, MMGroundingDinoForObjectDetection
    return processor, kinds[0 if old else 1](config)


def clip_tokenizer(max_length: int) -> CLIPTokenizer:
    """Letters alone."""
    letters = sorted(ByteLevel.alphabet())
    pieces = ["!", *(c for c in letters if c != "!"), *(f"{c}</w>" for c in letters)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=max_length, pad_token="!")


def _clip_text(tokenizer: CLIPTokenizer, length: int, width: int = 32) -> dict[str, Any]:
    count = len(tokenizer)
    return {
        "hidden_size": width,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": count,
        "max_position_embeddings": length,
        "bos_token_id": count - 2,
        "eos_token_id": count - 1,
        "pad_token_id": 0,
    }


def _owl(kind: str, scale: int) -> tuple[Any, Any]:
    new = kind == "owlv2"
    tokenizer = clip_tokenizer(16)
    config = (Owlv2Config if new else OwlViTConfig)(
        text_config=_clip_text(tokenizer, 16),
        vision_config={
            "hidden_size": 32 * scale,
            "intermediate_size": 32 * scale,
            "num_hidden_layers": scale,
            "num_attention_heads": 2,
            "image_size": 64 * scale,
            "patch_size": 16,
        },
        projection_dim=32,
    )
    size = {"height": 64 * scale, "width": 64 * scale}
    if new:
        processor = Owlv2Processor(Owlv2ImageProcessor(size=size), tokenizer)
        return processor, Owlv2ForObjectDetection(config)
    processor = OwlViTProcessor(OwlViTImageProcessor(size=size), tokenizer)
    return processor, OwlViTForObjectDetection(config)


def _omdet(kind: str, scale: int) -> tuple[Any, Any]:
    tokenizer = clip_tokenizer(77)
    config = OmDetTurboConfig(
        text_config={"model_type": "clip_text_model", **_clip_text(tokenizer, 77, width=48)},
        backbone_config=_swin(scale),
        use_timm_backbone=False,
        apply_layernorm_after_vision_backbone=False,
        image_size=64 * scale,
        class_embed_dim=48,
        text_projection_in_dim=48,
        text_projection_out_dim=48,
        task_encoder_hidden_dim=32,
        encoder_hidden_dim=32,
        decoder_hidden_dim=32,
        vision_features_channels=[32, 32, 32],
        backbone_feat_channels=[32 * scale, 64 * scale, 128 * scale],
        encoder_in_channels=[32 * scale, 64 * scale, 128 * scale],
        encoder_dim_feedforward=32,
        decoder_dim_feedforward=32,
        decoder_num_layers=2,
        num_queries=20,
        encoder_attention_heads=2,
        decoder_num_heads=2,
    )
    images = DetrImageProcessor(size={"height": 64 * scale, "width": 64 * scale}, do_pad=False)
    return OmDetTurboProcessor(images, tokenizer), OmDetTurboForObjectDetection(config)


_BUILDERS = {
    "grounding-dino": _grounding_dino,
    "mm-grounding-dino": _grounding_dino,
    "owlv2": _owl,
    "owlvit": _owl,
    "omdet-turbo": _omdet,
}
