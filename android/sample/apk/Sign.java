import com.android.apksig.ApkSigner;
import com.android.apksig.ApkVerifier;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;

/**
 * Aligns an APK (native libraries to 16 KB), signs it by v2 and v3, and verifies it: key store, in, out. With one word,
 * an APK: verifies that one, and says how.
 */
@SuppressWarnings("deprecation")
class Sign {
    private static final char[] PASSWORD = "android".toCharArray(); // of a key that is made anew for each build

    public static void main(String[] words) throws Exception {
        if (words.length == 3) {
            sign(new File(words[0]), new File(words[1]), new File(words[2]));
        }
        ApkVerifier.Result result = new ApkVerifier.Builder(new File(words[words.length - 1])).build().verify();
        boolean isGood = result.isVerified() && result.isVerifiedUsingV2Scheme() && result.isVerifiedUsingV3Scheme();
        if (words.length == 1 || !isGood) {
            System.out.println("verified " + result.isVerified() + ", v2 " + result.isVerifiedUsingV2Scheme()
                + ", v3 " + result.isVerifiedUsingV3Scheme());
        }
        System.exit(isGood ? 0 : 1);
    }

    private static void sign(File keys, File in, File out) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream stream = new FileInputStream(keys)) {
            store.load(stream, PASSWORD);
        }
        PrivateKey key = (PrivateKey) store.getKey("debug", PASSWORD);
        X509Certificate certificate = (X509Certificate) store.getCertificate("debug");
        ApkSigner.SignerConfig signer = new ApkSigner.SignerConfig.Builder("debug", key, List.of(certificate)).build();
        new ApkSigner.Builder(List.of(signer))
            .setInputApk(in)
            .setOutputApk(out)
            .setMinSdkVersion(26)
            .setV1SigningEnabled(false)
            .setV2SigningEnabled(true)
            .setV3SigningEnabled(true)
            .setAlignmentPreserved(false)
            .setLibraryPageAlignmentBytes(16384)
            .build()
            .sign();
    }
}
