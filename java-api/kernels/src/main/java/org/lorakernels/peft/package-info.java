/**
 * LoRA adapters in the files of Hugging Face's PEFT: {@code adapter_config.json} with the
 * hyperparameters and {@code adapter_model.safetensors} with, for every adapted module,
 *
 * <pre>
 *   base_model.model.MODULE.lora_A.weight   [rank, in features]
 *   base_model.model.MODULE.lora_B.weight   [out features, rank]
 * </pre>
 *
 * What PEFT saves is loaded here, and what is saved here is loaded by PEFT. Variants that compute
 * something else than LoRA (DoRA, biases, adapted embeddings, ...) are refused, not ignored.
 */
package org.lorakernels.peft;
