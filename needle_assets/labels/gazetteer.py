"""The closed list of nationalities and what names them, as a table to be read and added to.

How it is searched does not belong here (`nationalities`).
"""

# One row a nationality: name | further demonyms | places | adjectives of its regions. An indented
# line continues the row above it.
#
# The names are those of the list in the 2024 post (also where everyday English has another word,
# such as Argentine), so that labels compare with it, then what that list lacks. Places are the
# country, its states and provinces where English texts name them without the country, and its
# big cities. A place that several countries have is given to the one a text means when it says no
# more; "perth , scotland" is settled by its last part.
ROWS = """
Afghan | afghani | afghanistan, kabul, kandahar, herat, mazar-i-sharif
Albanian | | albania, tirana, shkodër, vlorë, durrës, elbasan, korçë
Algerian | | algeria, algiers, oran, constantine, annaba, tizi ouzou, kabylie | kabyle
American | american indian | united states, united states of america, u.s., u.s.a., america,
  alabama, alaska, arizona, arkansas, california, colorado, connecticut, delaware, florida, hawaii,
  idaho, illinois, indiana, iowa, kansas, kentucky, louisiana, maine, maryland, massachusetts,
  michigan, minnesota, mississippi, missouri, montana, nebraska, nevada, new hampshire, new jersey,
  new mexico, new york, north carolina, north dakota, ohio, oklahoma, oregon, pennsylvania,
  rhode island, south carolina, south dakota, tennessee, texas, utah, vermont, virginia,
  washington, west virginia, wisconsin, wyoming, washington d.c., d.c., new york city, nyc,
  los angeles, chicago, houston, philadelphia, phoenix, san antonio, san diego, dallas, austin,
  san francisco, columbus, fort worth, indianapolis, charlotte, seattle, denver, boston, el paso,
  detroit, nashville, memphis, portland, oklahoma city, las vegas, louisville, baltimore,
  milwaukee, albuquerque, tucson, fresno, sacramento, kansas city, atlanta, omaha,
  colorado springs, raleigh, miami, long beach, oakland, minneapolis, tulsa, tampa, new orleans,
  cleveland, honolulu, anaheim, st. louis, saint louis, pittsburgh, cincinnati, st. paul, buffalo,
  newark, orlando, jersey city, brooklyn, manhattan, queens, the bronx, bronx, staten island,
  harlem, salt lake city, long island, des moines, baton rouge, spokane, rochester, syracuse,
  yonkers, fort wayne, palo alto, santa monica, beverly hills, malibu, new england, midwest,
  southern california, northern california, georgia | us army, us navy, us air force,
  us marine corps, union army, union navy, continental army, confederate, texan, californian,
  hawaiian, alaskan, virginian, floridian, cherokee, navajo, sioux, lakota, ojibwe, apache, hopi,
  choctaw, comanche, potawatomi, seminole, nfl, national football league, major league baseball,
  negro league, negro leagues, kent state, wnba, ncaa, cal state
Andorran | | andorra, andorra la vella
Angolan | | angola, luanda, benguela, huambo
Antiguans | antiguan, antigua and barbuda | antigua and barbuda, antigua
Argentinean | argentine, argentinian | argentina, buenos aires, rosario, la plata, mendoza,
  tucumán, mar del plata, quilmes, avellaneda, bahía blanca, san miguel de tucumán
Armenian | | armenia, yerevan, gyumri, vanadzor, armenian ssr
Australian | | australia, sydney, melbourne, brisbane, perth, adelaide, canberra, hobart, darwin,
  queensland, new south wales, victoria, tasmania, south australia, western australia,
  northern territory, gold coast, geelong, wollongong, ballarat, bendigo, townsville, toowoomba,
  fremantle, launceston | tasmanian, queensland
Austrian | | austria, vienna, salzburg, graz, linz, innsbruck, klagenfurt, tyrol, styria,
  carinthia, vorarlberg, lower austria, upper austria, bregenz | tyrolean, viennese, styrian
Azerbaijani | azeri | azerbaijan, baku, ganja, sumgayit, azerbaijan ssr, shusha
Bahamian | | bahamas, nassau
Bahraini | | bahrain, manama
Bangladeshi | | bangladesh, dhaka, chittagong, sylhet, khulna, rajshahi, comilla
Barbadian | bajan | barbados, bridgetown
Barbudans | barbudan | barbuda
Batswana
Belarusian | belarussian, byelorussian, belorussian | belarus, minsk, gomel, grodno, vitebsk,
  mogilev, byelorussian ssr, belarusian ssr
Belgian | | belgium, brussels, antwerp, ghent, liège, bruges, charleroi, leuven, namur, mechelen,
  flanders, wallonia, hasselt, kortrijk, ostend, genk | flemish, walloon
Belizean | | belize, belize city, belmopan
Beninese | beninois | benin, cotonou, porto-novo, dahomey
Bhutanese | | bhutan, thimphu
Bolivian | | bolivia, la paz, santa cruz de la sierra, cochabamba, sucre, oruro
Bosnian | bosniak, bosnian-herzegovinian, bosnia and herzegovina, bosnian serb, bosnian croat |
  bosnia, bosnia and herzegovina, bosnia-herzegovina, sarajevo, banja luka, mostar, tuzla, zenica,
  republika srpska
Brazilian | | brazil, são paulo, sao paulo, rio de janeiro, brasília, brasilia, belo horizonte,
  porto alegre, recife, fortaleza, curitiba, manaus, bahia, minas gerais, rio grande do sul,
  santa catarina, paraná, goiânia, campinas, pernambuco, ceará | carioca
British | | united kingdom, u.k., uk, great britain, britain, guernsey, jersey, alderney,
  channel islands | royal navy, royal air force, royal marines
Bruneian | | brunei, bandar seri begawan
Bulgarian | | bulgaria, sofia, plovdiv, varna, burgas, stara zagora, pleven, blagoevgrad
Burkinabe | burkinabé, burkinabè, burkina faso, burkinese | burkina faso, ouagadougou,
  bobo-dioulasso, upper volta
Burmese | myanmar | myanmar, burma, rangoon, yangon, mandalay, naypyidaw
Burundian | | burundi, bujumbura
Cambodian | khmer | cambodia, phnom penh, siem reap
Cameroonian | | cameroon, cameroun, yaoundé, yaounde, douala
Canadian | québécois, quebecois | canada, ontario, quebec, british columbia, alberta, manitoba,
  saskatchewan, nova scotia, new brunswick, newfoundland, newfoundland and labrador,
  prince edward island, yukon, northwest territories, nunavut, toronto, montreal, montréal,
  vancouver, calgary, edmonton, ottawa, winnipeg, quebec city, halifax, saskatoon, regina,
  mississauga, brampton, scarborough, kitchener, st. john 's, sault ste. marie, lower canada,
  upper canada, moncton, sherbrooke | quebec, ontarian, albertan, acadian, newfoundlander
Cape Verdean | cape verde, cabo verdean | cape verde, cabo verde, praia, mindelo
Central African | | central african republic, bangui
Chadian | | chad, n'djamena
Chilean | | chile, santiago, santiago de chile, valparaíso, viña del mar, concepción, antofagasta,
  temuco
Chinese | | china, people 's republic of china, prc, beijing, peking, shanghai, guangzhou,
  shenzhen, tianjin, wuhan, nanjing, nanking, chengdu, chongqing, hangzhou, xi'an, shenyang,
  dalian, harbin, qingdao, jinan, guangdong, sichuan, zhejiang, jiangsu, hunan, hubei, henan,
  hebei, shandong, shanxi, shaanxi, fujian, yunnan, liaoning, jilin, heilongjiang, anhui, jiangxi,
  guangxi, guizhou, xinjiang, inner mongolia, qing dynasty, ming dynasty, tang dynasty,
  song dynasty, han dynasty | manchu, cantonese, uyghur, eastern han, western han, western jin,
  eastern jin, eastern wu, cao wei, shu han, northern wei, tang dynasty, han dynasty,
  qing dynasty, ming dynasty, song dynasty, yuan dynasty, sui dynasty, jin dynasty, zhou dynasty
Colombian | | colombia, bogotá, bogota, medellín, medellin, cali, barranquilla, cartagena,
  bucaramanga, antioquia
Comoran | comorian | comoros, moroni
Congolese | zairean, zairian | congo, democratic republic of the congo, republic of the congo,
  dr congo, zaire, kinshasa, brazzaville, lubumbashi, belgian congo
Costa Rican | | costa rica, alajuela
Croatian | croat | croatia, zagreb, rijeka, osijek, zadar, dubrovnik, dalmatia, šibenik, varaždin,
  pula, vukovar | dalmatian
Cuban | | cuba, havana, santiago de cuba, camagüey, holguín, matanzas, cienfuegos
Cypriot | greek cypriot, turkish cypriot, greek-cypriot, turkish-cypriot | cyprus, nicosia,
  limassol, larnaca, paphos, northern cyprus, famagusta
Czech | | czech republic, czechia, prague, brno, ostrava, plzeň, pilsen, liberec, olomouc, bohemia,
  moravia, české budějovice, pardubice, hradec králové, zlín | bohemian, moravian
Danish | | denmark, copenhagen, aarhus, odense, aalborg, esbjerg, frederiksberg, zealand, jutland,
  randers
Djibouti | djiboutian | djibouti
Dominican | | dominican republic, santo domingo, dominica, roseau, san pedro de macorís,
  santiago de los caballeros, la romana
Dutch | netherlandish | netherlands, holland, amsterdam, rotterdam, the hague, utrecht, eindhoven,
  groningen, tilburg, breda, nijmegen, haarlem, arnhem, leiden, delft, maastricht, enschede, north
  holland, south holland, north brabant, friesland, gelderland, overijssel, den bosch, zwolle,
  drenthe, zeeland, flevoland | frisian
East Timorese | timorese | east timor, timor-leste, dili
Ecuadorean | ecuadorian | ecuador, quito, guayaquil, esmeraldas
Egyptian | | egypt, cairo, alexandria, giza, port said, suez, luxor, aswan, mansoura, tanta |
  coptic, pharaoh
Emirian | emirati, united arab emirates, uae | united arab emirates, uae, u.a.e., dubai, abu dhabi,
  sharjah, ajman, fujairah, ras al-khaimah
Equatorial Guinean | equatoguinean, equatorial guinea | equatorial guinea, malabo, bata
Eritrean | | eritrea, asmara
Estonian | | estonia, tallinn, tartu, pärnu, narva, viljandi, estonian ssr
Ethiopian | | ethiopia, addis ababa, abyssinia | oromo
Fijian | | fiji, suva, nadi, lautoka | rotuman
Filipino | filipina, philippine, pinoy | philippines, manila, cebu, quezon city, davao, davao city,
  cebu city, makati, iloilo, batangas, pampanga, pangasinan, bulacan, laguna | cebuano
Finnish | finland-swedish | finland, helsinki, tampere, turku, espoo, vantaa, oulu, lahti,
  jyväskylä, kuopio, pori, vaasa, viipuri
French | | france, paris, marseille, marseilles, lyon, lyons, toulouse, nantes, strasbourg,
  montpellier, bordeaux, lille, rennes, reims, le havre, saint-étienne, toulon, grenoble, dijon,
  angers, brittany, normandy, provence, alsace, guadeloupe, martinique, réunion,
  seine-saint-denis, hauts-de-seine, val-de-marne, val-d'oise, île-de-france, picardy, savoy,
  pas-de-calais, lorraine, burgundy, corsica, versailles, rouen,
  metz, nancy, orléans, avignon, clermont-ferrand, cannes, limoges | corsican, breton, alsatian,
  parisian, provençal, guadeloupean, martinican, martiniquais
Gabonese | | gabon, libreville, franceville
Gambian | | gambia, banjul, serekunda
Georgian | | republic of georgia, tbilisi, batumi, kutaisi, rustavi, gori, sukhumi, georgian ssr,
  poti, zugdidi | abkhazian, abkhaz
German | east german, west german | germany, east germany, west germany, berlin, east berlin, west
  berlin, hamburg, munich, cologne, frankfurt, frankfurt am main, stuttgart, düsseldorf, dusseldorf,
  dortmund, leipzig, bremen, dresden, hanover, hannover, nuremberg, duisburg, bochum, bonn,
  bielefeld, mannheim, karlsruhe, münster, wiesbaden, augsburg, mönchengladbach, gelsenkirchen,
  braunschweig, kiel, chemnitz, aachen, magdeburg, freiburg, lübeck, erfurt, rostock, mainz, kassel,
  saarbrücken, potsdam, heidelberg, darmstadt, regensburg, würzburg, göttingen, ulm, saarland,
  rhineland, westphalia, franconia, swabia, bavaria, saxony, lower saxony, hesse, baden-württemberg,
  north rhine-westphalia, rhineland-palatinate, thuringia, brandenburg, saxony-anhalt,
  schleswig-holstein, mecklenburg-vorpommern, prussia, gdr, nazi germany, third reich, königsberg,
  jena, bamberg, bayreuth, leverkusen, wuppertal, oldenburg | prussian, wehrmacht, luftwaffe, waffen
  ss, waffen-ss, kriegsmarine, bundeswehr, bavarian, saxon, hessian, swabian, east prussian, sorbian
Ghanaian | | ghana, accra, kumasi, tamale, cape coast, sekondi
Greek | hellenic | athens, thessaloniki, piraeus, patras, crete, heraklion, corfu, larissa,
  ioannina, kavala, chios, rhodes, volos | cretan, ancient greek
Grenadian | | grenada
Guatemalan | | guatemala, guatemala city
Guinea-Bissauan | bissau-guinean, guinea-bissau | guinea-bissau, bissau
Guinean | | guinea, conakry
Guyanese | | guyana, british guiana, demerara
Haitian | | haiti, port-au-prince, saint-domingue
Herzegovinian | | herzegovina
Honduran | | honduras, tegucigalpa, san pedro sula, la ceiba
Hungarian | magyar | hungary, budapest, debrecen, szeged, miskolc, pécs, győr, nyíregyháza,
  székesfehérvár, kecskemét, szombathely, eger, sopron
I-Kiribati | kiribati | kiribati, tarawa
Icelander | icelandic | iceland, reykjavík, reykjavik, akureyri
Indian | | india, new delhi, delhi, mumbai, bombay, kolkata, calcutta, chennai, madras, bangalore,
  bengaluru, hyderabad, pune, ahmedabad, jaipur, lucknow, kanpur, nagpur, patna, bhopal, chandigarh,
  mysore, kochi, cochin, thiruvananthapuram, trivandrum, maharashtra, gujarat, tamil nadu, kerala,
  karnataka, andhra pradesh, telangana, west bengal, uttar pradesh, madhya pradesh, rajasthan,
  bihar, odisha, orissa, assam, haryana, himachal pradesh, uttarakhand, jharkhand, chhattisgarh,
  goa, manipur, meghalaya, mizoram, nagaland, tripura, sikkim, jammu and kashmir, british india,
  coimbatore, madurai, varanasi, allahabad, amritsar, kozhikode, thrissur, kollam, guwahati | tamil,
  telugu, malayali, malayalam, kannada, marathi, gujarati, bengali, punjabi, bollywood, tollywood,
  kollywood, hindustani, carnatic, assamese, odia, oriya, goan, keralite, maratha
Indonesian | | indonesia, jakarta, surabaya, bandung, medan, semarang, makassar, bali, java,
  sumatra, yogyakarta, dutch east indies, batavia, jayapura, padang | javanese, balinese,
  sundanese, acehnese, minangkabau
Iranian | irani | iran, tehran, isfahan, mashhad, tabriz, shiraz, persia, ahvaz, qom, rasht,
  abadan, kerman | persian
Iraqi | | iraq, baghdad, basra, mosul, kirkuk, erbil, najaf, karbala
Irish | | ireland, republic of ireland, irish free state, dublin, cork, limerick, galway,
  waterford, county cork, county dublin, county galway, county kerry, county mayo,
  county tipperary, county wexford, county kilkenny, county clare, county limerick,
  county waterford, county donegal, county meath, county kildare, county wicklow, county louth,
  county roscommon, county sligo, county cavan, county monaghan, county offaly, county laois,
  county longford, county westmeath, county leitrim, county carlow, tipperary, kilkenny, kerry,
  wexford, mayo, sligo, dundalk, drogheda, tralee, connacht, munster, leinster | gaelic
Israeli | | israel, jerusalem, tel aviv, haifa, beersheba, mandatory palestine, ramat gan, netanya,
  petah tikva, rishon lezion
Italian | | italy, rome, milan, naples, turin, palermo, genoa, bologna, florence, venice, verona,
  catania, bari, messina, padua, trieste, parma, brescia, modena, pisa, siena, sicily, sardinia,
  tuscany, lombardy, piedmont, veneto, campania, calabria, apulia, liguria, perugia, bergamo,
  ravenna, rimini, cagliari, reggio emilia, ferrara, udine, ancona, livorno, south tyrol, mantua,
  lucca, vicenza, treviso, cremona, umbria | venetian, florentine, sicilian, sardinian, neapolitan,
  genoese, tuscan, milanese, lombard, bolognese, sienese, piedmontese
Ivorian | ivoirian | ivory coast, côte d'ivoire, cote d'ivoire, abidjan, bouaké, yamoussoukro
Jamaican | | jamaica, montego bay, spanish town
Japanese | | japan, tokyo, osaka, kyoto, yokohama, nagoya, sapporo, kobe, fukuoka, hiroshima,
  kawasaki, saitama, sendai, hokkaido, okinawa, kanagawa, chiba, nagasaki, niigata, shizuoka, edo,
  nara | okinawan
Jordanian | | jordan, amman, zarqa, irbid
Kazakhstani | kazakh | kazakhstan, almaty, astana, alma-ata, karaganda, shymkent, kazakh ssr,
  nur-sultan
Kenyan | | kenya, nairobi, mombasa, kisumu, nakuru, eldoret
Kittian and Nevisian | kittitian, kittian, nevisian, kittitian and nevisian, saint kitts and nevis,
  st. kitts and nevis | saint kitts and nevis, st. kitts and nevis, saint kitts, st. kitts, nevis,
  basseterre
Kuwaiti | | kuwait, kuwait city
Kyrgyz | kyrgyzstani, kirghiz | kyrgyzstan, bishkek, osh, frunze, kirghiz ssr
Laotian | lao | laos, vientiane, luang prabang
Latvian | | latvia, riga, daugavpils, liepāja, jelgava, ventspils, jūrmala, latvian ssr
Lebanese | | lebanon, beirut, sidon
Liberian | | liberia, monrovia
Libyan | | libya, benghazi
Liechtensteiner | liechtenstein | liechtenstein, vaduz
Lithuanian | | lithuania, vilnius, kaunas, klaipėda, šiauliai, panevėžys, alytus, lithuanian ssr
Luxembourger | luxembourgish, luxembourgian, luxembourgeois, luxembourg | luxembourg,
  luxembourg city, esch-sur-alzette
Macedonian | north macedonian | republic of macedonia, north macedonia, macedonia, skopje, bitola,
  ohrid, kumanovo, tetovo, prilep, strumica
Malagasy | madagascan | madagascar, antananarivo
Malawian | | malawi, blantyre, lilongwe, nyasaland
Malaysian | | malaysia, kuala lumpur, penang, johor, selangor, sabah, sarawak, malaya, kelantan,
  ipoh, perak, kedah, malacca, kota kinabalu, kuching, terengganu, johor bahru | malay, sarawakian
Maldivian | maldivan | maldives, malé
Malian | | mali, bamako, sikasso, kayes
Maltese | | malta, valletta, gozo, sliema
Marshallese | | marshall islands, majuro
Mauritanian | | mauritania, nouakchott
Mauritian | | mauritius, port louis
Mexican | | mexico, mexico city, guadalajara, monterrey, tijuana, puebla, jalisco, veracruz,
  oaxaca, chihuahua, sinaloa, sonora, michoacán, nuevo león, guanajuato, durango, yucatán,
  tamaulipas, coahuila, zacatecas, acapulco, ciudad juárez, chiapas, culiacán, tabasco | chicano,
  yucatecan
Micronesian | | micronesia, federated states of micronesia, pohnpei, chuuk, yap
Moldovan | moldavian | moldova, chișinău, chişinău, chisinau, tiraspol, bălți, moldavian ssr,
  transnistria, bessarabia
Monacan | monégasque, monegasque | monaco, monte carlo
Mongolian | | mongolia, ulaanbaatar, ulan bator
Moroccan | | morocco, casablanca, rabat, marrakech, marrakesh, fes, fez, tangier, agadir, meknes,
  oujda, tetouan
Mosotho | basotho, lesotho | lesotho, maseru, basutoland
Motswana | botswanan, botswana, tswana | botswana, gaborone, francistown, bechuanaland
Mozambican | | mozambique, maputo, beira, lourenço marques
Namibian | | namibia, windhoek, south west africa, walvis bay
Nauruan | | nauru
Nepalese | nepali | nepal, kathmandu, pokhara, lalitpur, biratnagar
New Zealander | new zealand, māori, maori | new zealand, auckland, wellington, christchurch,
  dunedin, invercargill, napier, palmerston north, otago, waikato, south canterbury, taranaki,
  whanganui, wanganui, rotorua, tauranga, timaru, whangarei, hawke 's bay
Ni-Vanuatu | vanuatuan, vanuatu | vanuatu, port vila, new hebrides
Nicaraguan | | nicaragua, managua
Nigerian | | nigeria, lagos, abuja, kano, ibadan, port harcourt, benin city, kaduna, enugu,
  lagos state, rivers state, delta state, imo state, anambra state, edo state, ogun state, jos,
  warri, akwa ibom | yoruba, igbo, hausa, nollywood
Nigerien | nigerois | niger, niamey
North Korean | | north korea, pyongyang
Northern Irish | northern ireland | northern ireland, belfast, derry, londonderry, county antrim,
  county down, county armagh, county tyrone, county fermanagh, county londonderry, county derry,
  ulster, lisburn, newry, armagh | ulster-scots
Norwegian | | norway, oslo, bergen, trondheim, stavanger, tromsø, kristiansand, drammen,
  christiania, fredrikstad, nordland, telemark, hordaland, rogaland, hedmark, oppland, bodø,
  lillehammer, ålesund, skien, molde
Omani | | oman, muscat
Pakistani | | pakistan, karachi, lahore, islamabad, rawalpindi, faisalabad, peshawar, quetta,
  multan, sialkot, sindh, khyber pakhtunkhwa, khyber-pakhtunkhwa, balochistan, azad kashmir,
  east pakistan, west pakistan, gujranwala, lyallpur, jamshoro, gilgit-baltistan | sindhi, pashtun,
  balochi, baloch, kashmiri
Palauan | | palau, koror
Panamanian | | panama, panama city, colón
Papua New Guinean | papua new guinea | papua new guinea, port moresby, lae, new guinea
Paraguayan | | paraguay, asunción, asuncion
Peruvian | | peru, lima, callao, arequipa, cusco, cuzco, lambayeque, piura
Polish | | poland, warsaw, kraków, krakow, cracow, łódź, wrocław, poznań, gdańsk, danzig, szczecin,
  lublin, katowice, silesia, bydgoszcz, białystok, gdynia, toruń, rzeszów, galicia, częstochowa,
  radom, lwów, kielce, sosnowiec | silesian, kashubian
Portuguese | | portugal, lisbon, porto, oporto, braga, coimbra, madeira, azores, funchal, setúbal,
  faro, aveiro, algarve, leiria, évora | azorean, madeiran
Qatari | | qatar, doha, al rayyan
Romanian | rumanian | romania, bucharest, cluj-napoca, cluj, iași, iaşi, timișoara, timişoara,
  constanța, constanţa, craiova, brașov, braşov, galați, galaţi, ploiești, ploieşti, oradea,
  transylvania, wallachia, arad, sibiu, bacău, pitești, piteşti | transylvanian, wallachian
Russian | | russia, russian empire, imperial russia, moscow, saint petersburg, st. petersburg,
  leningrad, novosibirsk, yekaterinburg, sverdlovsk, nizhny novgorod, gorky, kazan, chelyabinsk,
  omsk, samara, kuibyshev, rostov-on-don, ufa, krasnoyarsk, voronezh, volgograd, stalingrad,
  siberia, dagestan, chechnya, grozny, makhachkala, krasnodar, saratov, tyumen, irkutsk,
  vladivostok, russian sfsr, tatarstan, north ossetia, sochi, kaliningrad, tula, yaroslavl,
  smolensk | chechen, tatar, dagestani, siberian, bashkir, chuvash, ossetian, yakut, avar
Rwandan | | rwanda, kigali
Saint Lucian | st. lucian, st lucian, saint lucia, st. lucia | saint lucia, st. lucia, castries
Salvadoran | salvadorean, salvadorian, el salvador | el salvador, san salvador
Samoan | western samoan | samoa, western samoa, apia
San Marinese | sammarinese, san marino | san marino
Sao Tomean | são toméan, santomean | são tomé and príncipe, são tomé
Saudi | saudi arabian, saudi-arabian | saudi arabia, riyadh, jeddah, mecca, medina, dammam
Scottish | scots | scotland, glasgow, edinburgh, aberdeen, dundee, inverness, stirling, paisley,
  ayr, fife, ayrshire, lanarkshire, kilmarnock, greenock, falkirk, dunfermline, aberdeenshire,
  kirkcaldy, motherwell, perthshire, renfrewshire, the highlands, orkney, shetland, dumfries,
  argyll, midlothian, east lothian, west lothian, hebrides, isle of skye, leith, coatbridge,
  dumbarton | shetland, glaswegian
Senegalese | | senegal, dakar, thiès, saint-louis, ziguinchor
Serbian | serb | serbia, belgrade, novi sad, niš, kragujevac, vojvodina, subotica, zrenjanin,
  pančevo, čačak, šabac, serbia and montenegro, užice, zemun, kruševac | vojvodinian
Seychellois | | seychelles
Sierra Leonean | sierra leone, sierra leonian | sierra leone, freetown
Singaporean | | singapore
Slovakian | slovak | slovakia, bratislava, košice, prešov, žilina, nitra, trnava, banská bystrica,
  trenčín, poprad
Slovenian | slovene | slovenia, ljubljana, maribor, celje, kranj, koper, velenje, novo mesto |
  carniolan
Solomon Islander | solomon islands, solomon island | solomon islands, honiara
Somali | somalian | somalia, mogadishu, somaliland, hargeisa, puntland | somalilander
South African | afrikaner | south africa, johannesburg, cape town, durban, pretoria,
  port elizabeth, bloemfontein, soweto, transvaal, natal, kwazulu-natal, eastern cape,
  western cape, gauteng, cape province, orange free state, east london, pietermaritzburg,
  cape colony, limpopo, mpumalanga, stellenbosch, free state, northern cape, kimberley | zulu,
  xhosa, boer
South Korean | | south korea, republic of korea, seoul, busan, incheon, daegu, daejeon, gwangju,
  pusan, suwon, ulsan, korea, jeju, gyeonggi, goryeo, joseon | korean
Spanish | | spain, madrid, barcelona, valencia, seville, zaragoza, málaga, malaga, bilbao, murcia,
  palma de mallorca, las palmas, alicante, córdoba, valladolid, vigo, gijón, granada,
  san sebastián, oviedo, catalonia, andalusia, basque country, navarre, canary islands,
  balearic islands, majorca, mallorca, tenerife, asturias, aragon, cádiz, pamplona, castile,
  extremadura, cantabria, almería, huelva, salamanca, a coruña, ibiza, santander, ceuta, melilla,
  tarragona, girona | catalan, basque, galician, andalusian, asturian, majorcan, valencian,
  castilian, aragonese, canarian
Sri Lankan | ceylonese, sinhalese | sri lanka, colombo, kandy, ceylon, jaffna, galle, negombo,
  matara
Sudanese | | sudan, khartoum, omdurman, darfur
Surinamer | surinamese | suriname, surinam, paramaribo
Swazi | | swaziland, eswatini, mbabane, manzini
Swedish | | sweden, stockholm, gothenburg, malmö, uppsala, västerås, örebro, linköping,
  helsingborg, jönköping, norrköping, umeå, gävle, borås, scania, sundsvall, karlstad, gotland,
  södertälje, halmstad, luleå, kalmar, eskilstuna, skåne, skellefteå | scanian
Swiss | | switzerland, zürich, zurich, geneva, basel, bern, berne, lausanne, lucerne, winterthur,
  st. gallen, lugano, ticino, vaud, fribourg, neuchâtel, valais, davos, canton of zürich,
  graubünden, schaffhausen, emmental
Syrian | | syria, damascus, aleppo, homs, latakia, hama | assyrian
Taiwanese | chinese taipei, republic of china | taiwan, taipei, kaohsiung, taichung, tainan,
  chinese taipei, hsinchu, hualien
Tajik | tajikistani | tajikistan, dushanbe, khujand, tajik ssr
Tanzanian | | tanzania, dar es salaam, zanzibar, dodoma, arusha, tanganyika | zanzibari
Thai | | thailand, bangkok, chiang mai, siam, phuket, nonthaburi, chonburi, khon kaen | siamese
Togolese | | togo, lomé, lome
Tongan | | tonga, nuku'alofa
Trinidadian or Tobagonian | trinidadian, tobagonian, trinidad and tobago, trinidad & tobago,
  trinidad and tobagonian, trinbagonian, trinidadian and tobagonian | trinidad and tobago,
  trinidad, tobago, port of spain, arima, point fortin
Tunisian | | tunisia, tunis, sfax, sousse, bizerte, monastir
Turkish | | turkey, istanbul, ankara, i̇stanbul, i̇zmir, izmir, bursa, adana, antalya, konya,
  gaziantep, trabzon, eskişehir, samsun, constantinople, mersin, kayseri, i̇zmit, smyrna, sakarya,
  malatya, denizli
Tuvaluan | | tuvalu, funafuti
Ugandan | | uganda, kampala, entebbe, jinja
Ukrainian | ukranian | ukraine, kiev, kyiv, kharkiv, kharkov, odessa, odesa, dnipropetrovsk,
  donetsk, lviv, zaporizhia, zaporizhya, zaporizhzhia, mykolaiv, luhansk, crimea, simferopol,
  vinnytsia, chernihiv, chernivtsi, poltava, kherson, sevastopol, ukrainian ssr, ivano-frankivsk,
  ternopil, uzhhorod, mariupol, cherkasy, zhytomyr | crimean tatar
Uruguayan | | uruguay, montevideo, paysandú
Uzbekistani | uzbek | uzbekistan, tashkent, samarkand, bukhara, fergana, uzbek ssr
Venezuelan | | venezuela, caracas, maracaibo, barquisimeto, maracay, ciudad guayana, zulia,
  puerto la cruz, puerto cabello
Vietnamese | | vietnam, hanoi, ho chi minh city, saigon, south vietnam, north vietnam, da nang,
  haiphong, nghệ an
Welsh | | wales, cardiff, swansea, newport, wrexham, llanelli, merthyr tydfil, neath, pontypridd,
  glamorgan, aberystwyth, anglesey, carmarthenshire, carmarthen, pembrokeshire, rhondda,
  monmouthshire, caerphilly, ebbw vale, bangor, gwynedd, ceredigion, powys, flintshire,
  denbighshire, bridgend, barry, aberdare, south wales, north wales
Yemenite | yemeni | yemen, sana'a, sanaa, aden, south yemen
Zambian | | zambia, lusaka, ndola, kitwe, northern rhodesia, mufulira
Zimbabwean | rhodesian, southern rhodesian | zimbabwe, harare, bulawayo, rhodesia,
  southern rhodesia, mutare | shona
English | | england, london, manchester, liverpool, birmingham, leeds, sheffield, bristol,
  newcastle upon tyne, newcastle, nottingham, leicester, coventry, bradford, stoke-on-trent,
  wolverhampton, plymouth, southampton, portsmouth, norwich, sunderland, brighton, oxford,
  cambridge, york, exeter, middlesbrough, blackpool, kingston upon hull, hull, preston, bolton,
  oldham, luton, yorkshire, lancashire, kent, essex, sussex, surrey, hampshire, devon, cornwall,
  somerset, dorset, wiltshire, gloucestershire, oxfordshire, berkshire, buckinghamshire,
  hertfordshire, bedfordshire, cambridgeshire, norfolk, suffolk, lincolnshire, nottinghamshire,
  derbyshire, leicestershire, northamptonshire, warwickshire, worcestershire, herefordshire,
  shropshire, staffordshire, cheshire, cumberland, westmorland, cumbria, northumberland,
  county durham, durham, merseyside, greater manchester, west midlands, tyne and wear,
  south yorkshire, west yorkshire, north yorkshire, east yorkshire, middlesex, isle of wight,
  ipswich, northampton, carlisle, gateshead, huddersfield, barnsley, rotherham, doncaster, wigan,
  stockport, rochdale, burnley, blackburn, grimsby, croydon, wimbledon, east sussex, west sussex,
  east riding of yorkshire, greater london, hackney, camberwell, islington, bermondsey, salford,
  canterbury, chesterfield, walsall, dudley, the midlands, gloucester, winchester, bournemouth,
  torquay, swindon, slough, watford | cornish, anglo-saxon, londoner, liverpudlian, mancunian
Montenegrin | | montenegro, podgorica, nikšić, cetinje, titograd, herceg novi, kotor
Czechoslovak | czechoslovakian | czechoslovakia
Yugoslav | yugoslavian | yugoslavia, sfr yugoslavia, kingdom of yugoslavia, fr yugoslavia
Soviet | | soviet union, ussr, u.s.s.r.
Puerto Rican | puerto rico, puertorrican, nuyorican | puerto rico, san juan, ponce, mayagüez,
  bayamón, caguas
Manx | manxman | isle of man
Greenlandic | greenlander | greenland, nuuk
Faroese | faroe islands, faroe, faroe islander | faroe islands, tórshavn, klaksvík
Kosovar | kosovan, kosovo albanian, kosovar albanian, kosovo-albanian | kosovo, pristina,
  prishtina, prizren, peja, gjakova, mitrovica
Palestinian | | palestine, gaza, gaza strip, west bank, ramallah, nablus, bethlehem, hebron,
  gaza city
Hong Kong | hong konger, hongkonger | hong kong, kowloon, new territories
Macanese | | macau, macao
Tibetan | | tibet, lhasa
South Sudanese | south sudan | south sudan, juba
Turkmen | turkmenistani | turkmenistan, ashgabat, turkmen ssr
Vincentian | saint vincentian, saint vincent and the grenadines, st. vincentian |
  saint vincent and the grenadines, st. vincent and the grenadines, saint vincent, st. vincent
Bermudian | bermuda, bermudan | bermuda
Aruban | | aruba, oranjestad
Curaçaoan | curacao | curaçao, willemstad, netherlands antilles, dutch antilles
Cayman Islander | caymanian, cayman islands, cayman | cayman islands, grand cayman
Cook Islander | cook islands, cook island | cook islands, rarotonga
American Samoan | american samoa | american samoa, pago pago
Guamanian | guam, chamorro | guam
Gibraltarian | gibraltar | gibraltar
Virgin Islander | united states virgin islands, us virgin islands, u.s. virgin islands,
  british virgin islands | united states virgin islands, u.s. virgin islands, us virgin islands,
  british virgin islands, tortola, saint croix, st. croix
Anguillan | | anguilla
Montserratian | | montserrat
Turks and Caicos Islander | turks and caicos islands | turks and caicos islands
Falkland Islander | falkland islands | falkland islands
New Caledonian | new caledonia, kanak | new caledonia, nouméa
French Polynesian | tahitian, french polynesia | french polynesia, tahiti, papeete
French Guianan | french guiana, guianan | french guiana, cayenne
Niuean | niue | niue
Tokelauan | | tokelau
Sahrawi | western saharan, saharawi | western sahara
"""
