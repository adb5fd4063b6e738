"""Makes gradients.safetensors beside it: python3 make.py (torch 2.13.0 CPU, transformers 5.18.0, peft 0.21.0).

The gradients of every LoRA tensor of models/llama/adapter on the weights of models/llama_nf4_dq, dequantised
here from the checkpoint's own code books, for one sequence of 1, 8, 64 and 256 predicted tokens:
LENGTH.input_ids [1, LENGTH + 1], LENGTH.loss (sum over the predicted tokens), LENGTH.grad.KEY of that sum.
"""
import json, os
import torch, transformers, peft
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "..", "models")
torch.set_num_threads(1)
torch.manual_seed(8)


def dequantised(tensors):
    out = {}
    for name, value in tensors.items():
        state = name + ".quant_state.bitsandbytes__nf4"
        if state in tensors:
            state = json.loads(bytes(tensors[state].tolist()))
            scales = tensors[name + ".nested_quant_map"][tensors[name + ".absmax"].long()]
            nested = tensors[name + ".nested_absmax"].repeat_interleave(state["nested_blocksize"])[: scales.numel()]
            scales = scales * nested + state["nested_offset"]
            packed = value.flatten().long()
            codes = torch.stack([packed >> 4, packed & 15], 1).flatten()
            weight = tensors[name + ".quant_map"][codes] * scales.repeat_interleave(state["blocksize"])[: codes.numel()]
            out[name] = weight.reshape(state["shape"])
        elif name.count(".weight.") == 0:
            out[name] = value
    return out


directory = os.path.join(MODELS, "llama_nf4_dq")
config = transformers.AutoConfig.from_pretrained(os.path.join(MODELS, "llama"))
config._attn_implementation = "eager"
model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
model.load_state_dict(dequantised(load_file(os.path.join(directory, "model.safetensors"))))
model = peft.PeftModel.from_pretrained(model, os.path.join(MODELS, "llama", "adapter"), is_trainable=True).eval()

out = {}
for length in (1, 8, 64, 256):
    ids = torch.randint(0, config.vocab_size, (1, length + 1))
    model.zero_grad()
    logits = model(input_ids=ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum")
    loss.backward()
    out[f"{length}.input_ids"] = ids.int()
    out[f"{length}.loss"] = loss.detach().reshape(1)
    for name, p in model.named_parameters():
        if p.requires_grad:
            out[f"{length}.grad.{name.replace('.default', '').removeprefix('base_model.model.')}"] = p.grad.clone()
save_file(out, os.path.join(HERE, "gradients.safetensors"))
