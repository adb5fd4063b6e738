package org.lorakernels.facade;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** What may depend on what. */
class DependencyRuleTest {
  private static final String BINDINGS = "org.lorakernels.bindings..";

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("org.lorakernels");

  @Test
  void onlyTheFacadeTouchesTheBindings() {
    noClasses()
        .that()
        .resideOutsideOfPackages("org.lorakernels", BINDINGS, "org.lorakernels.presets")
        .should()
        .dependOnClassesThat()
        .resideInAPackage(BINDINGS)
        .check(CLASSES);
  }

  @Test
  void theFacadeDoesNotKnowWhatStandsOnIt() {
    noClasses()
        .that()
        .resideInAPackage("org.lorakernels")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "org.lorakernels.safetensors..",
            "org.lorakernels.huggingface..",
            "org.lorakernels.peft..",
            "org.lorakernels.merge..",
            "org.lorakernels.optimizer..",
            "org.lorakernels.training..",
            "org.lorakernels.cli..")
        .check(CLASSES);
  }

  @Test
  void onlyOneClassKnowsOpenBlas() {
    noClasses()
        .that()
        .haveNameNotMatching("org\\.lorakernels\\.Blas.*")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("org.bytedeco.openblas..")
        .check(CLASSES);
  }

  @Test
  void onlyOneClassKnowsCuda() {
    noClasses()
        .that()
        .haveNameNotMatching("org\\.lorakernels\\.CuBlas.*")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("org.bytedeco.cuda..")
        .check(CLASSES);
  }

  @Test
  void theKernelsDependOnJavaCppAloneAtRunTime() throws Exception {
    List<String> runtime = new ArrayList<>();
    Path pom = Path.of(System.getProperty("lk.home"), "java-api/kernels/pom.xml");
    try (InputStream in = Files.newInputStream(pom)) {
      NodeList dependencies =
          DocumentBuilderFactory.newInstance()
              .newDocumentBuilder()
              .parse(in)
              .getElementsByTagName("dependency");
      for (int i = 0; i < dependencies.getLength(); i++) {
        Element dependency = (Element) dependencies.item(i);
        boolean optional = dependency.getElementsByTagName("optional").getLength() > 0;
        if (!optional) {
          runtime.add(
              dependency.getElementsByTagName("artifactId").item(0).getTextContent().trim());
        }
      }
    }
    assertEquals(List.of("javacpp"), runtime);
  }
}
