"""Makes the golden vectors beside it: python3 make.py (torch 2.13.0 CPU, transformers 5.18.0, peft 0.21.0).

qwen3      Qwen3ForCausalLM: norms of q and k, biases, a window in the second layer; LoRA (rsLoRA, patterns)
llama3     LlamaForCausalLM in the config.json of transformers 4: llama3 scaling, all biases, tied; DoRA; full fine-tuning
golden.safetensors: inputs, logits, mean loss, gradients, and curves of AdamW (lr 5e-3, weight decay 0.01) over
the same batch; logits.TYPE: the same weights with another scaling of rotary positions.
"""
import copy, json, os
import torch, transformers, peft
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
torch.manual_seed(20)


def randomise(model, scale=0.15):
    for name, p in model.named_parameters():
        torch.nn.init.normal_(p, std=scale)
        if "norm" in name:
            p.data += 1


def mean_loss(model, ids, labels):
    return model(input_ids=ids, labels=labels, use_cache=False).loss


def curve(model, ids, labels, steps, out, prefix):
    parameters = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([p for _, p in parameters], lr=5e-3, weight_decay=0.01)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = mean_loss(model, ids, labels)
        loss.backward()
        if step == 0:
            for name, p in parameters:
                out[f"{prefix}.grad.{stored(name)}"] = p.grad.clone()
        losses.append(loss.item())
        optimizer.step()
    out[f"{prefix}.loss"] = torch.tensor(losses)


def stored(name):
    """The key of a parameter in PEFT's files."""
    return name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")


def perturb_adapter(model):
    """B would be zero; magnitudes would be norms."""
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.1)
        if "magnitude" in name:
            p.data *= 1 + 0.1 * torch.randn_like(p)


def build(name, config, adapter, full):
    torch.manual_seed(sum(map(ord, name)))
    directory = os.path.join(HERE, name)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    randomise(model)
    model.save_pretrained(directory)
    ids = torch.randint(0, config.vocab_size, (2, 24))
    labels = ids.clone()
    labels[0, :5] = -100
    out = {"input_ids": ids.int(), "labels": labels.int()}
    with torch.no_grad():
        out["logits"] = model(input_ids=ids, use_cache=False).logits
        out["loss"] = mean_loss(model, ids, labels).reshape(1)
    if full:
        curve(copy.deepcopy(model), ids, labels, 8, out, "full")
        for kind, rope in full.items():
            other = copy.deepcopy(config)
            other.rope_parameters = {"rope_theta": 10000.0, **rope}
            scaled = transformers.AutoModelForCausalLM.from_config(other).float().eval()
            scaled.load_state_dict(model.state_dict())
            with torch.no_grad():
                out[f"logits.{kind}"] = scaled(input_ids=ids, use_cache=False).logits
    adapted = peft.get_peft_model(model, adapter).eval()
    perturb_adapter(adapted)
    adapted.save_pretrained(os.path.join(directory, "adapter"))
    os.remove(os.path.join(directory, "adapter", "README.md"))
    with torch.no_grad():
        out["adapter.logits"] = adapted(input_ids=ids, use_cache=False).logits
    curve(adapted, ids, labels, 8, out, "adapter")
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(directory, "golden.safetensors"))


build(
    "qwen3",
    transformers.Qwen3Config(
        vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=12, max_position_embeddings=64, attention_bias=True, tie_word_embeddings=False,
        use_sliding_window=True, sliding_window=6, max_window_layers=1, rope_parameters={"rope_theta": 5000.0, "rope_type": "default"},
    ),
    peft.LoraConfig(
        r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
        layers_to_transform=[1], rank_pattern={"down_proj": 2}, alpha_pattern={"mlp.up_proj": 7}, task_type="CAUSAL_LM",
    ),
    None,
)
build(
    "llama3",
    transformers.LlamaConfig(
        vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
        rope_parameters={"rope_theta": 10000.0, "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
    ),
    peft.LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules="all-linear", task_type="CAUSAL_LM"),
    {
        "linear": {"rope_type": "linear", "factor": 3.0},
        "dynamic": {"rope_type": "dynamic", "factor": 3.0},
        "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    },
)
# The second model's configuration as transformers 4 wrote it.
path = os.path.join(HERE, "llama3", "config.json")
config = json.load(open(path))
rope = config.pop("rope_parameters")
config["torch_dtype"] = config.pop("dtype")
config["rope_theta"] = rope.pop("rope_theta")
config["rope_scaling"] = rope
json.dump(config, open(path, "w"), indent=2, sort_keys=True)
