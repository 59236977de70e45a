#!/usr/bin/env bash
# usage: apk.sh STEP...   merge resources | dex package sign: the steps by which an APK is made, which Maven runs.
set -euo pipefail
cd "$(dirname "$0")/.."
TOOLS=$(cat ../tools/target/classpath.txt)
PLATFORM=../tools/target/platform.jar
AAPT2=../tools/target/apktool/prebuilt/linux/aapt2
JDK=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")}
JAVA=(java -Xmx2g -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
T=target
MIN_SDK=26
TARGET_SDK=36
PACKAGE=org.fedrela.sample
VERSION=$(sed -n 's:.*<version>\(.*\)</version>.*:\1:p' pom.xml | head -1)
mkdir -p $T

aars() { # unpacked, of others
  for aar in ../tools/target/aars/*.aar; do
    local into=$T/aars/$(basename "$aar" .aar)
    [ -d "$into" ] || { mkdir -p "$into"; unzip -q "$aar" -d "$into"; }
    echo "$into"
  done
}

merge() {
  local libraries=()
  for module in client onnx android; do libraries+=(--libs "../$module/src/main/AndroidManifest.xml"); done
  for aar in $(aars); do libraries+=(--libs "$aar/AndroidManifest.xml"); done
  # Gradle is told the package apart, and refuses one in the manifest; the merger wants it there.
  sed "s/<manifest /<manifest package=\"$PACKAGE\" /" src/main/AndroidManifest.xml > $T/main.xml
  "${JAVA[@]}" -cp "$TOOLS" com.android.manifmerger.Merger --main $T/main.xml "${libraries[@]}" --remove-tools-declarations \
    --property PACKAGE=$PACKAGE --property MIN_SDK_VERSION=$MIN_SDK --property TARGET_SDK_VERSION=$TARGET_SDK \
    --property VERSION_CODE=1 --property VERSION_NAME="$VERSION" --out $T/AndroidManifest.xml --log WARNING
}

resources() {
  chmod +x $AAPT2
  rm -rf $T/flat $T/r $T/assets
  mkdir -p $T/flat $T/r $T/assets
  for aar in $(aars); do
    [ ! -d "$aar/res" ] || $AAPT2 compile --dir "$aar/res" -o "$T/flat/$(basename "$aar").zip"
    [ ! -d "$aar/assets" ] || cp -r "$aar/assets/." $T/assets
  done
  $AAPT2 compile --dir src/main/res -o $T/flat/zz-app.zip
  $AAPT2 link -o $T/base.apk -I $PLATFORM --manifest $T/AndroidManifest.xml --java $T/r --proguard $T/aapt.pro \
    --extra-packages androidx.startup --output-text-symbols $T/R.txt --min-sdk-version $MIN_SDK \
    --target-sdk-version $TARGET_SDK --auto-add-overlay -A $T/assets $(printf -- '-R %s ' $T/flat/*.zip)
}

dex() {
  rm -rf $T/dex && mkdir -p $T/dex
  # The runtime's Java classes, without its libraries: those for Android come with its AAR.
  cp ../tools/target/onnxruntime.jar $T/onnxruntime.jar
  zip -q -d $T/onnxruntime.jar 'ai/onnxruntime/native/*'
  local program=($T/fedrela-sample-"$VERSION".jar $T/onnxruntime.jar ../tools/target/annotation.jar)
  for jar in $T/lib/*.jar; do case $jar in *okhttp-jvm*) ;; *) program+=("$jar") ;; esac; done
  cat $T/aapt.pro proguard-rules.pro ../android/proguard.txt ../onnx/proguard.txt > $T/all.pro
  for aar in $(aars); do
    program+=("$aar/classes.jar")
    [ ! -f "$aar/proguard.txt" ] || cat "$aar/proguard.txt" >> $T/all.pro
  done
  "${JAVA[@]}" -cp "$TOOLS" com.android.tools.r8.R8 --release --min-api $MIN_SDK --lib $PLATFORM \
    --lib "$JDK" --pg-conf $T/all.pro --pg-map-output $T/mapping.txt --output $T/dex "${program[@]}" > $T/r8.log 2>&1 ||
    { cat $T/r8.log; exit 1; }
}

package() {
  rm -rf $T/stage $T/unaligned.apk && mkdir -p $T/stage
  cd $T/stage
  unzip -q ../base.apk
  cp ../dex/*.dex .
  zip -qr -X ../unaligned.apk . -x resources.arsc 'lib/*'
  zip -q -X -0 ../unaligned.apk resources.arsc # mapped into memory as it lies
  [ ! -d lib ] || zip -qr -X -0 ../unaligned.apk lib
  cd - > /dev/null
}

sign() { # with a key that is made here: for a try, not for a store
  [ -f $T/debug.p12 ] || keytool -genkeypair -keystore $T/debug.p12 -storetype PKCS12 -storepass android \
    -alias debug -keyalg RSA -keysize 2048 -validity 10000 -dname CN=Debug > /dev/null 2>&1
  "${JAVA[@]}" -cp "$TOOLS" apk/Sign.java $T/debug.p12 $T/unaligned.apk $T/fedrela-sample.apk
}

for step in "$@"; do $step; done
