from __future__ import annotations

import pytest
import torch
from transformers import BertConfig
from transformers import BertModel as TransformersBert

from model.config import TextConfig
from model.network.bert import BertModel

TEXT = TextConfig(
    hidden_size=32, num_layers=2, num_heads=4, intermediate_size=64, vocab_size=90, max_positions=16
)


@pytest.fixture(scope="module")
def both() -> tuple[BertModel, TransformersBert]:
    """Ours and transformers' own, with the same weights."""
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        vocab_size=90,
        max_position_embeddings=16,
    )
    theirs = TransformersBert(config, add_pooling_layer=False).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = BertModel(TEXT).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_the_hidden_states_are_those_of_transformers(both):
    ours, theirs = both
    ids, mask = torch.randint(1, 90, (3, 9)), torch.ones(3, 9, dtype=torch.int64)
    mask[1, 4:] = mask[2, 1:] = 0
    want = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(ours(ids, mask)[mask > 0], want[mask > 0], rtol=1e-5, atol=1e-5)


def test_what_stands_in_the_padding_changes_nothing(both):
    ours, _ = both
    ids, mask = torch.randint(1, 90, (1, 6)), torch.tensor([[1, 1, 1, 1, 0, 0]])
    other = ids.clone()
    other[:, 4:] = 7
    torch.testing.assert_close(ours(ids, mask)[:, :4], ours(other, mask)[:, :4])


def test_dropout_acts_in_training_alone(both):
    ours, _ = both
    ids, mask = torch.randint(1, 90, (1, 6)), torch.ones(1, 6, dtype=torch.int64)
    assert torch.equal(ours(ids, mask), ours(ids, mask))
    ours.train()
    assert not torch.equal(ours(ids, mask), ours(ids, mask))
    ours.eval()
