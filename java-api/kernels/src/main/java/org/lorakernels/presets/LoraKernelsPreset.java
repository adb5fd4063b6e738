package org.lorakernels.presets;

import org.bytedeco.javacpp.annotation.Platform;
import org.bytedeco.javacpp.annotation.Properties;
import org.bytedeco.javacpp.tools.Info;
import org.bytedeco.javacpp.tools.InfoMap;
import org.bytedeco.javacpp.tools.InfoMapper;

/**
 * Tells JavaCPP how to turn the headers of the C ABI into Java. The C ABI is plain enough that
 * there is next to nothing to say.
 */
@Properties(
    value =
        @Platform(
            value = "linux-x86_64",
            include = {
              "lora_kernels.h",
              "lora_kernels_merge.h",
              "lora_kernels_optimizer.h",
              "lora_kernels_pager.h",
              "lora_kernels_transformer.h"
            },
            link = "lora_kernels"),
    target = "org.lorakernels.bindings",
    global = "org.lorakernels.bindings.global.native_kernels")
public class LoraKernelsPreset implements InfoMapper {
  @Override
  public void map(InfoMap infos) {
    infos
        .put(new Info("LK_API").cppTypes().annotations())
        .put(new Info("lk_address").cast().valueTypes("long").pointerTypes("LongPointer", "long[]"))
        .put(new Info("lk_device").pointerTypes("lk_device"))
        .put(new Info("lk_budget").pointerTypes("lk_budget"))
        .put(new Info("lk_pager").pointerTypes("lk_pager"));
  }
}
