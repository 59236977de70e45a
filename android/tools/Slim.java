import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import kotlin.Metadata;
import kotlin.metadata.Attributes;
import kotlin.metadata.KmDeclarationContainer;
import kotlin.metadata.KmFunction;
import kotlin.metadata.KmProperty;
import kotlin.metadata.Visibility;
import kotlin.metadata.jvm.JvmExtensionsKt;
import kotlin.metadata.jvm.JvmMetadataUtil;
import kotlin.metadata.jvm.JvmMethodSignature;
import kotlin.metadata.jvm.KotlinClassMetadata;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.Opcodes;
import org.objectweb.asm.tree.AnnotationNode;
import org.objectweb.asm.tree.ClassNode;
import org.objectweb.asm.tree.FieldInsnNode;
import org.objectweb.asm.tree.FieldNode;
import org.objectweb.asm.tree.LineNumberNode;
import org.objectweb.asm.tree.MethodInsnNode;
import org.objectweb.asm.tree.MethodNode;

/**
 * Copies classes as they are published: FROM, TO. Left out is what nobody outside of their module reads: the names of
 * local variables, the positions of inlined code, what is noted for compilers of declarations that are internal or
 * private, their constants, which stand wherever they are used, what Kotlin makes for internal data classes that
 * nobody calls, and which values may be null as Java is told, for Kotlin reads it elsewhere. All that is public stays,
 * and all that runs.
 */
class Slim {
    private static final String METADATA = "Lkotlin/Metadata;";
    private static final Set<Visibility> SEEN = Set.of(Visibility.PUBLIC, Visibility.PROTECTED);

    private static final Pattern OWN_LINES = Pattern.compile("\\*L\n1#1,(\\d+):1\n");
    private static final String LOOKUP = "java/lang/invoke/MethodHandles$Lookup"; // noted wherever there is a lambda
    private static final Pattern MADE = Pattern.compile("component\\d+|copy|copy\\$default"); // for each data class

    public static void main(String[] words) throws IOException {
        Path from = Path.of(words[0]);
        Path to = Path.of(words[1]);
        List<Path> files;
        try (var walked = Files.walk(from)) {
            files = walked.filter(Files::isRegularFile).sorted().toList();
        }
        List<ClassNode> classes = new ArrayList<>();
        for (Path file : files) {
            Path copy = to.resolve(from.relativize(file));
            Files.createDirectories(copy.getParent());
            if (file.toString().endsWith(".class")) classes.add(read(file));
            else Files.write(copy, Files.readAllBytes(file));
        }
        Set<String> hidden = new HashSet<>();
        for (ClassNode node : classes) if (isHidden(node)) hidden.add(node.name);
        Set<String> used = new HashSet<>();
        for (ClassNode node : classes) uses(node, used);
        for (ClassNode node : classes)
            if (used.contains(node.name + "copy$default")) used.add(node.name + "copy"); // which it ends in
        for (ClassNode node : classes) {
            boolean isHidden = isWithin(node.name, hidden);
            node.fields.removeIf(it -> isConstant(it, isHidden) && !used.contains(node.name + it.name));
            if (isHidden)
                node.methods.removeIf(it -> MADE.matcher(it.name).matches() && !used.contains(node.name + it.name));
            node.innerClasses.removeIf(it -> it.name.equals(LOOKUP) || isWithin(it.name, hidden));
            slim(node, isHidden);
            ClassWriter writer = new ClassWriter(0);
            node.accept(writer);
            Files.write(to.resolve(node.name + ".class"), writer.toByteArray());
        }
    }

    private static ClassNode read(Path file) throws IOException {
        ClassNode node = new ClassNode();
        new ClassReader(Files.readAllBytes(file)).accept(node, 0);
        return node;
    }

    /** Whether no other module can name a class: by itself, and by what is around it. */
    private static boolean isHidden(ClassNode node) {
        KotlinClassMetadata known = metadata(node);
        if (known instanceof KotlinClassMetadata.Class declared)
            return !SEEN.contains(Attributes.getVisibility(declared.getKmClass()));
        return !(known instanceof KotlinClassMetadata.FileFacade);
    }

    /** Adds what a class calls and reads to `used`: fields and methods, with their class. */
    private static void uses(ClassNode node, Set<String> used) {
        for (MethodNode method : node.methods)
            for (var step : method.instructions) {
                if (step instanceof FieldInsnNode field) used.add(field.owner + field.name);
                if (step instanceof MethodInsnNode call && !method.name.equals("copy$default"))
                    used.add(call.owner + call.name);
            }
    }

    /** Whether a field is a constant of its module's, which stands wherever it is used. */
    private static boolean isConstant(FieldNode field, boolean isHidden) {
        return field.value != null && (isHidden || (field.access & Opcodes.ACC_PRIVATE) != 0);
    }

    private static boolean isWithin(String name, Set<String> hidden) {
        for (int end = name.length(); end > 0; end = name.lastIndexOf('$', end - 1))
            if (hidden.contains(name.substring(0, end))) return true;
        return false;
    }

    private static void slim(ClassNode node, boolean isHidden) {
        Set<String> own = new HashSet<>(); // methods that only their module calls
        KotlinClassMetadata known = isHidden ? null : metadata(node);
        boolean isTold = false;
        if (known instanceof KotlinClassMetadata.Class declared) {
            declared.getKmClass().getConstructors().removeIf(it -> !SEEN.contains(Attributes.getVisibility(it)));
            prune(declared.getKmClass(), own);
            isTold = true;
        } else if (known instanceof KotlinClassMetadata.FileFacade facade) {
            prune(facade.getKmPackage(), own);
            isTold = isFull(facade.getKmPackage());
        }
        if (node.visibleAnnotations != null) node.visibleAnnotations.removeIf(it -> it.desc.equals(METADATA));
        if (isTold) node.visibleAnnotations.add(annotation(known.write()));
        int lines = ownLines(node.sourceDebug);
        node.sourceDebug = null;
        if (isHidden) {
            node.signature = null;
            node.outerClass = node.outerMethod = node.outerMethodDesc = null;
        }
        for (FieldNode field : node.fields) {
            field.invisibleAnnotations = null;
            if (!isSeen(field.access) || isHidden) field.signature = null;
        }
        for (MethodNode method : node.methods) {
            method.localVariables = null;
            keepLines(method, lines);
            method.invisibleAnnotations = null;
            method.invisibleParameterAnnotations = null;
            if (!isSeen(method.access) || isHidden || own.contains(method.name + method.desc)) method.signature = null;
        }
    }

    /** Leaves the lines that a trace can name: those of the class's own file, each where it begins. */
    private static void keepLines(MethodNode method, int last) {
        int before = 0;
        for (var step : method.instructions.toArray()) {
            if (!(step instanceof LineNumberNode line)) continue;
            if (line.line > last || line.line == before) method.instructions.remove(line);
            else before = line.line;
        }
    }

    /** How many lines a class's own file has: Kotlin gives inlined code those that follow. */
    private static int ownLines(String positions) {
        var found = OWN_LINES.matcher(positions == null ? "" : positions);
        return found.find() ? Integer.parseInt(found.group(1)) : Integer.MAX_VALUE;
    }

    private static boolean isSeen(int access) {
        return (access & (Opcodes.ACC_PUBLIC | Opcodes.ACC_PROTECTED)) != 0 && (access & Opcodes.ACC_SYNTHETIC) == 0;
    }

    /** Takes away what is not seen from outside, and adds its methods to `own`. */
    private static void prune(KmDeclarationContainer container, Set<String> own) {
        for (KmFunction function : List.copyOf(container.getFunctions())) {
            if (SEEN.contains(Attributes.getVisibility(function))) continue;
            container.getFunctions().remove(function);
            add(own, JvmExtensionsKt.getSignature(function));
        }
        for (KmProperty property : List.copyOf(container.getProperties())) {
            if (SEEN.contains(Attributes.getVisibility(property))) continue;
            container.getProperties().remove(property);
            add(own, JvmExtensionsKt.getGetterSignature(property));
            add(own, JvmExtensionsKt.getSetterSignature(property));
        }
        container.getTypeAliases().removeIf(it -> !SEEN.contains(Attributes.getVisibility(it)));
    }

    private static boolean isFull(KmDeclarationContainer container) {
        return !container.getFunctions().isEmpty() || !container.getProperties().isEmpty()
            || !container.getTypeAliases().isEmpty();
    }

    private static void add(Set<String> own, JvmMethodSignature signature) {
        if (signature != null) own.add(signature.getName() + signature.getDescriptor());
    }

    private static KotlinClassMetadata metadata(ClassNode node) {
        if (node.visibleAnnotations == null) return null;
        for (AnnotationNode note : node.visibleAnnotations)
            if (note.desc.equals(METADATA)) return KotlinClassMetadata.readStrict(metadata(note));
        return null;
    }

    private static Metadata metadata(AnnotationNode note) {
        return JvmMetadataUtil.Metadata(
            (Integer) value(note, "k"), ints(value(note, "mv")), texts(value(note, "d1")), texts(value(note, "d2")),
            (String) value(note, "xs"), (String) value(note, "pn"), (Integer) value(note, "xi"));
    }

    private static Object value(AnnotationNode note, String name) {
        int at = note.values.indexOf(name);
        return at < 0 ? null : note.values.get(at + 1);
    }

    private static int[] ints(Object value) {
        if (value instanceof int[] array) return array;
        return value == null ? null : ((List<?>) value).stream().mapToInt(it -> (Integer) it).toArray();
    }

    private static String[] texts(Object value) {
        return value == null ? null : ((List<?>) value).toArray(new String[0]);
    }

    private static AnnotationNode annotation(Metadata metadata) {
        AnnotationNode note = new AnnotationNode(METADATA);
        note.visit("k", metadata.k());
        note.visit("mv", metadata.mv());
        note.visit("xi", metadata.xi());
        for (var list : List.of(List.of("d1", metadata.d1()), List.of("d2", metadata.d2()))) {
            var array = note.visitArray((String) list.get(0));
            for (String text : (String[]) list.get(1)) array.visit(null, text);
            array.visitEnd();
        }
        return note;
    }
}
